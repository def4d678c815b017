"""A machine and its artefacts are looked at without a network, and every finding has its next step."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from contracts.keys import key_hash
from images.made.record import FILE
from stacks.costs.tiers import idle_gpu_cost
from tests.fixtures.synthesis import SHOP, build
from turnout.doctor.command import doctor_command
from turnout.doctor.finding import Finding, Level
from turnout.doctor.machine import Machine, machine_findings
from turnout.keys import write_keys

NODES = {"new": "v22.1.0", "old": "v18.20.0"}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine with Node, the CDK, two built models and a key."""
    build(tmp_path / "models.out")
    write_keys(tmp_path / "keys.toml", {"app": key_hash("a key")})
    for name, version in NODES.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {version}\n", "utf-8")
        program.chmod(0o755)
    (tmp_path / "cdk").touch()
    return Machine(
        deployment=SHOP,
        out=tmp_path / "models.out",
        keys=tmp_path / "keys.toml",
        images=tmp_path / "images.out",
        node=str(tmp_path / "new"),
        cdk=tmp_path / "cdk",
    )


def found(machine: Machine) -> dict[str, Finding]:
    return {one.about: one for one in machine_findings(machine)}


def test_what_is_there_is_said(machine: Machine) -> None:
    findings = found(machine)
    assert findings["CDK"].message == "installed, with Node v22.1.0"
    assert findings["artefacts"].message == "3 are built, and every sealed byte is unchanged"
    assert findings["keys"].message == "1 would be accepted: app"
    assert {findings[name].level for name in ("CDK", "artefacts", "keys")} == {Level.HOLDS}
    cost = findings["cost"]
    assert cost.level is Level.NOTE
    assert cost.message.startswith(f"${idle_gpu_cost('ml.g6.xlarge'):,.0f} a month")


def test_an_old_node_and_a_missing_cdk_fail(machine: Machine, tmp_path: Path) -> None:
    old = found(replace(machine, node=str(tmp_path / "old")))["CDK"]
    assert old.message == "Node 20 or newer is needed, and there is v18.20.0"
    none = found(replace(machine, node=str(tmp_path / "nowhere")))["CDK"]
    assert none.message == "Node 20 or newer is needed, and there is none"
    missing = found(replace(machine, cdk=tmp_path / "nowhere"))["CDK"]
    assert missing.next_step == "make setup"
    assert {old.level, none.level, missing.level} == {Level.FAILS}


@pytest.mark.slow
def test_a_changed_byte_a_missing_key_and_an_unknown_instance_are_named(
    machine: Machine, tmp_path: Path
) -> None:
    graph = next((machine.out / "words/cpu").glob("*.onnx"), None) or next(
        path for path in (machine.out / "words/cpu").iterdir() if path.name != "manifest.json"
    )
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    model = SHOP.models[0]
    assert model.gpu is not None
    moved = replace(model, gpu=replace(model.gpu, instance="ml.none.xlarge"))
    findings = found(
        replace(
            machine,
            deployment=replace(SHOP, models=(moved, *SHOP.models[1:])),
            keys=tmp_path / "none.toml",
        )
    )
    assert findings["artefacts"].level is Level.FAILS
    assert graph.name in findings["artefacts"].message
    assert findings["settings"].message.startswith("models.intents.gpu.instance")
    assert (findings["keys"].level, findings["keys"].next_step) == (
        Level.WARNS,
        "turnout keys add NAME",
    )


def test_images_need_an_engine_unless_all_are_pushed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDK_DOCKER", "no-such-engine")
    findings = found(machine)
    assert findings["images"].level is Level.FAILS
    assert "0 of 4 are pushed, and no container engine" in findings["images"].message
    assert "turnout image --push" in findings["images"].next_step
    row = {"digest": "sha256:0a", "base": "b", "base_digest": "", "inputs": {}, "layers": []}
    names = ("router", "intents-cpu", "intents-gpu", "words-cpu")
    made = {f"shop-{name}": {**row, "reference": "r@sha256:0a"} for name in names}
    machine.images.mkdir()
    (machine.images / FILE).write_text(
        json.dumps({"made": {}, "pushed": made, "starts": []}), "utf-8"
    )
    assert found(machine)["images"].message == "4 of 4 are pushed"
    (machine.images / FILE).write_text("{", "utf-8")
    damaged = found(machine)["images"]
    assert damaged.level is Level.FAILS
    assert FILE in damaged.message


def test_bases_that_an_engine_takes_by_their_tags_are_named(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = tmp_path / "docker"
    engine.write_text("#!/bin/sh\necho 27.0\n", "utf-8")
    engine.chmod(0o755)
    monkeypatch.setenv("CDK_DOCKER", str(engine))
    table = tmp_path / "bases.json"
    row = {"image": "registry.example/python:3.13", "digest": "", "python": "3.13"}
    packages = {"lock": "packages.json", "python": "3.13"}
    table.write_text(json.dumps({"python": row, "debian": packages}), "utf-8")
    moving = found(replace(machine, bases=table))["base images"]
    assert moving.level is Level.WARNS
    assert moving.message.startswith("registry.example/python:3.13 by their tags alone")
    assert moving.next_step.startswith("python -m scripts.renew_bases")
    pinned = row | {"digest": f"sha256:{'0' * 64}"}
    table.write_text(json.dumps({"python": pinned, "debian": packages}), "utf-8")
    assert "base images" not in found(replace(machine, bases=table))


def test_the_command_ends_with_1_where_a_deployment_would_fail(tmp_path: Path) -> None:
    (tmp_path / "few.vec").write_text("2 2\none 1 0\ntwo 0 1\n", "utf-8")
    (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n', "utf-8")
    table = 'source = "few.vec"\ntask = "word-vectors"\neval = "rows.jsonl"\ncpu = {}\n'
    (tmp_path / "models.toml").write_text(f"[models.words]\n{table}", "utf-8")
    words = ["--config", str(tmp_path / "models.toml"), "--out", str(tmp_path / "none")]
    words += ["--keys", str(tmp_path / "keys.toml"), "--images", str(tmp_path), "--no-account"]
    command: Any = typer.Typer()
    command.command()(doctor_command)
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 1
    assert "fails   artefacts: words: has no artefact" in done.stdout
    assert "→ turnout build" in done.stdout
    assert "would stop a deployment" in done.stdout
    document = json.loads(CliRunner().invoke(command, [*words, "--json"]).stdout)
    assert [one["about"] for one in document["findings"]][:2] == ["CDK", "artefacts"]
