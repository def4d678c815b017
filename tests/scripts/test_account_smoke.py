"""The smoke test of an account costs no more than it may, and leaves nothing behind, whatever happens."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from contracts.specs import CpuSpec, Deployment, Domain, GpuSpec, ModelSpec
from contracts.tasks import Task, Tier
from scripts.account_smoke.app import MORE_MEMORY_MB, smoke_deployment, updated
from scripts.account_smoke.commands import (
    LEAST_MINUTES,
    MOST_MINUTES,
    Smoke,
    SmokeFailed,
    environment_of,
    hourly_usd,
    minutes_within,
)
from scripts.account_smoke.smoke import Figures, requests_of, run
from stacks.costs.tiers import idle_gpu_cost
from tests.fixtures.paths import ROOT

INSTANCE = "ml.g6.xlarge"
HOUR = idle_gpu_cost(INSTANCE) / 730


def deployment(folder: Path, gpu: GpuSpec | None = None) -> Deployment:
    rows = folder / "rows.jsonl"
    lines = [{"text": text, "label": "good"} for text in ("one", "two")]
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    model = ModelSpec(
        name="moods",
        source="unused",
        task=Task.TEXT_CLASSIFICATION,
        eval=rows,
        cpu=CpuSpec(),
        gpu=gpu,
    )
    return Deployment(name="shop", models=(model, replace(model, name="other", gpu=None)))


@pytest.fixture
def smoke(tmp_path: Path) -> Smoke:
    return Smoke(
        deployment=deployment(tmp_path, GpuSpec(instance=INSTANCE)),
        work=tmp_path,
        key="key",
        environment=environment_of(
            {"PATH": "/usr/bin:/bin"}, tmp_path, tmp_path, tmp_path, "shop", ()
        ),
        deadline=time.monotonic() + 60,
    )


def test_the_cap_counts_the_instance_more_of_an_update(tmp_path: Path) -> None:
    of = deployment(tmp_path, GpuSpec(instance=INSTANCE, max_instances=2))
    assert hourly_usd(of) == pytest.approx(3 * HOUR)
    assert minutes_within(of, 3 * HOUR) == pytest.approx(60)
    assert minutes_within(of, 1000) == MOST_MINUTES
    assert minutes_within(deployment(tmp_path), 0) == MOST_MINUTES


def test_a_cap_that_pays_for_too_little_is_refused_with_one_that_does(tmp_path: Path) -> None:
    of = deployment(tmp_path, GpuSpec(instance=INSTANCE))
    with pytest.raises(SmokeFailed, match="--max-usd") as raised:
        minutes_within(of, 1.0)
    named = float(str(raised.value).split("--max-usd ")[1].split(",")[0])
    assert minutes_within(of, named + 0.01) >= LEAST_MINUTES


def test_it_has_a_name_of_its_own_and_the_models_that_were_named(tmp_path: Path) -> None:
    written = replace(deployment(tmp_path), domain=Domain(name="api.example.org"))
    of = smoke_deployment(written, "shop-smoke", ("other",))
    # The deployment of that file may have it.
    assert of.domain is None
    assert (of.name, [model.name for model in of.models]) == ("shop-smoke", ["other"])
    (model,) = updated(of).models
    assert model.cpu == CpuSpec(memory_mb=CpuSpec().memory_mb + MORE_MEMORY_MB)


def test_every_tier_of_every_model_is_asked_in_turn(smoke: Smoke) -> None:
    asked = list(islice(requests_of(smoke), 6))
    assert [(name, body["tier"]) for name, body in asked] == [
        ("moods", Tier.CPU),
        ("moods", Tier.GPU),
        ("other", Tier.CPU),
    ] * 2
    assert [body["inputs"] for _, body in asked] == [["one"]] * 3 + [["two"]] * 3


def outcomes(smoke: Smoke, **steps: Any) -> list[tuple[str, str]]:
    """Return the outcome of each step; those that are exceptions are raised."""

    def step(result: Any) -> Any:
        def run_step(of: Smoke) -> Figures:
            if isinstance(result, BaseException):
                raise result
            return dict(result)

        return run_step

    always = (("down", step({"stacks": 3})), ("nothing left", step({"left": 0})))
    made = tuple((name, step(result)) for name, result in steps.items())
    return [(one["step"], one["outcome"]) for one in run(smoke, lambda line: None, made, always)]


@pytest.mark.parametrize("error", [SmokeFailed("no quota"), OSError("no network"), KeyError("Url")])
def test_after_a_step_that_fails_everything_is_deleted(smoke: Smoke, error: Exception) -> None:
    assert outcomes(smoke, deploy=error, calls={}) == [
        ("deploy", "failed"),
        ("down", "passed"),
        ("nothing left", "passed"),
    ]


def test_after_an_interrupt_everything_is_deleted(smoke: Smoke) -> None:
    assert outcomes(smoke, deploy={}, calls=KeyboardInterrupt(), update={}) == [
        ("deploy", "passed"),
        ("interrupted", "failed"),
        ("down", "passed"),
        ("nothing left", "passed"),
    ]


def test_a_command_ends_with_the_time_that_is_paid_for(smoke: Smoke) -> None:
    over = replace(smoke, deadline=time.monotonic())
    with pytest.raises(SmokeFailed, match="paid for"):
        over.run("sleep", "30")
    # What deletes has time of its own.
    assert over.run("echo", "gone", until=time.monotonic() + 30) == "gone\n"
    with pytest.raises(SmokeFailed, match="ended with 3"):
        smoke.run("sh", "-c", "exit 3")
    assert "$ sh -c exit 3" in (smoke.work / "commands.log").read_text("utf-8")


@pytest.mark.system
@pytest.mark.exhaustive(keep=0)
def test_the_whole_of_it_passes_in_a_local_cloud(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    words = ("--local", "--model", "support-intent", "--result", str(result))
    command = [sys.executable, "-m", "scripts.account_smoke", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(result.read_text("utf-8"))
    assert {one["outcome"] for one in found["steps"]} == {"passed"}
    steps = {one["step"]: one for one in found["steps"]}
    assert steps["calls"]["cpu"] == steps["calls"]["gpu"] == 10
    assert steps["update"]["calls_meanwhile"] > 0
    assert steps["nothing left"]["left"] == 0
