"""A push says what is recorded of its very weights, and of the rows as they are now."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from contracts.manifest import Manifest
from contracts.specs import Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task
from stacks.weights.proved import record_path
from tests.fixtures.pushed.model import pushed, saved
from turnout.client import Reply
from turnout.push.recorded import recorded
from turnout.verify.endpoint import verify_endpoint, wanted

ROWS = [{"text": "one", "target": "eins"}, {"text": "two", "target": "zwei"}]


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS), "utf-8")
    return ModelSpec(
        name="chat",
        source=saved(tmp_path / "saved"),
        task=Task.TEXT_GENERATION,
        eval=rows,
        gpu=GpuSpec(instance="ml.g6.xlarge"),
    )


@pytest.fixture
def manifest(spec: ModelSpec, tmp_path: Path) -> Manifest:
    return pushed(spec, tmp_path / "saved", tmp_path / "out")


def answers(version: str, status: int = 200) -> Callable[[dict[str, Any]], Reply]:
    """Return an endpoint that says `eins` to everything."""
    body = {"version": version, "outputs": [{"generated_text": "eins"}], "code": "model_failed"}
    return lambda document: Reply(status=status, body=body, ms=1, headers={})


def verify(spec: ModelSpec, out: Path, at_least: float = 0.0, status: int = 200) -> dict[str, Any]:
    of = wanted(Deployment(models=(spec,)), "chat", out, at_least)
    ask = answers(of.manifest.version, status)
    return verify_endpoint(of, ask, out, Console(quiet=True))


def test_without_a_record_the_commands_are_named(
    spec: ModelSpec, manifest: Manifest, tmp_path: Path
) -> None:
    proved, said = recorded(tmp_path / "out", manifest, spec.eval)
    assert not proved
    assert said.startswith("not proved on this machine: deploy it by `npx cdk deploy --all`")
    assert "`turnout verify chat --tier gpu`" in said


def test_weights_that_were_verified_are_said_to_be_and_how_their_rows_were_answered(
    spec: ModelSpec, manifest: Manifest, tmp_path: Path
) -> None:
    record = verify(spec, tmp_path / "out")
    assert recorded(tmp_path / "out", manifest, spec.eval) == (
        True,
        f"proved: on {record['date']} its endpoint answered 2 of 2 rows, 50.0% of 2 as the rows say",
    )


def test_rows_that_changed_since_are_said_to_be_others(
    spec: ModelSpec, manifest: Manifest, tmp_path: Path
) -> None:
    verify(spec, tmp_path / "out")
    spec.eval.write_text('{"text": "four"}\n', "utf-8")
    proved, said = recorded(tmp_path / "out", manifest, spec.eval)
    assert proved
    assert "the rows are others now" in said


def test_rows_without_targets_have_no_share(
    spec: ModelSpec, manifest: Manifest, tmp_path: Path
) -> None:
    spec.eval.write_text('{"text": "four"}\n', "utf-8")
    verify(spec, tmp_path / "out")
    assert recorded(tmp_path / "out", manifest, spec.eval)[1].endswith("answered 1 of 1 rows")


@pytest.mark.parametrize(("at_least", "status"), [(0.9, 200), (0.0, 500)])
def test_a_record_that_does_not_hold_says_what_was_found(
    spec: ModelSpec, manifest: Manifest, tmp_path: Path, at_least: float, status: int
) -> None:
    record = verify(spec, tmp_path / "out", at_least, status)
    proved, said = recorded(tmp_path / "out", manifest, spec.eval)
    assert not proved
    assert f"answered {record['answered']} of 2 rows" in said
    assert said.startswith("not proved: on ")


def test_the_record_of_other_weights_proves_nothing(
    spec: ModelSpec, manifest: Manifest, tmp_path: Path
) -> None:
    record = verify(spec, tmp_path / "out")
    other = replace(manifest, digest="0" * 64)
    proved, said = recorded(tmp_path / "out", other, spec.eval)
    assert not proved
    assert f"is of version {record['version']}" in said


@pytest.mark.parametrize("text", ["{", "[]", '{"holds": 1, "digest": "a"}', '{"holds": true}'])
def test_a_record_that_is_damaged_is_none(
    spec: ModelSpec, manifest: Manifest, tmp_path: Path, text: str
) -> None:
    path = record_path(tmp_path / "out", "chat")
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
    assert "on this machine" in recorded(tmp_path / "out", manifest, spec.eval)[1]
