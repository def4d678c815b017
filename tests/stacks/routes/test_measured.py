"""The route table has what the build has measured, and does without where there is nothing of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.manifest import SHORTER, Manifest
from contracts.routes import Routes
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task, Tier, Wake
from stacks.routes.measured import Measured, measured
from stacks.routes.table import Artefacts, make_routes

CPU = Manifest(
    model="intents",
    task=Task.TEXT_CLASSIFICATION,
    tier=Tier.CPU,
    precision="int8",
    recipe="int8",
    max_tokens=128,
    toolchain={},
    digest="d" * 64,
)
EVIDENCE: dict[str, Any] = {
    "digest": CPU.digest,
    "unit": "row",
    "chars_per_token": 3.5,
    "candidates": [
        {"chosen": False, "ms": {"8": 9.0}},
        {"chosen": True, "ms": {"128": 30.5, "8": 4.25}},
    ],
}


def written(out: Path, text: str, tier: Tier = Tier.CPU) -> Path:
    path = out / "intents/evidence" / f"{tier}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return out


def test_the_times_of_the_candidate_that_shipped_are_taken_the_shortest_first(
    tmp_path: Path,
) -> None:
    found = measured(written(tmp_path, json.dumps(EVIDENCE)), CPU)
    assert found == Measured(latency_ms=((8, 4.25), (128, 30.5)), chars_per_token=3.5)


def test_the_times_of_a_model_that_writes_are_those_of_new_tokens(tmp_path: Path) -> None:
    out = written(tmp_path, json.dumps({**EVIDENCE, "unit": "new token"}))
    assert measured(out, CPU).latency_ms == ((8, 4.25), (128, 30.5))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        json.dumps({**EVIDENCE, "digest": "other"}),
        json.dumps({**EVIDENCE, "candidates": []}),
        json.dumps({**EVIDENCE, "candidates": [{"chosen": True, "ms": {"long": 1}}]}),
        json.dumps({**EVIDENCE, "chars_per_token": None}),
    ],
    ids=["cut", "a list", "another artefact", "no candidate", "no length", "no number"],
)
def test_other_evidence_measures_nothing(tmp_path: Path, text: str) -> None:
    assert measured(written(tmp_path, text), CPU) == Measured()


def test_no_evidence_measures_nothing(tmp_path: Path) -> None:
    assert measured(tmp_path, CPU) == Measured()


@pytest.mark.parametrize(("least", "wake_s"), [(0, 564), (1, 395)])
def test_the_route_table_carries_them_to_the_router(
    tmp_path: Path, least: int, wake_s: float
) -> None:
    written(tmp_path, json.dumps(EVIDENCE))
    gpu = replace(CPU, tier=Tier.GPU, digest="e" * 64)
    written(
        tmp_path, json.dumps({**EVIDENCE, "digest": gpu.digest, "chars_per_token": 3}), Tier.GPU
    )
    model = ModelSpec(
        name="intents",
        source="s",
        task=CPU.task,
        eval=tmp_path,
        cpu=CpuSpec(),
        gpu=GpuSpec(instance="ml.g6.xlarge", min_instances=least, wake=Wake.ESCALATION),
        split={Tier.CPU: 3, Tier.GPU: 1},
    )
    manifests = {("intents", Tier.CPU): CPU, ("intents", Tier.GPU): gpu}
    artefacts = Artefacts(manifests=manifests, cascades={})
    table = make_routes(Deployment(models=(model,)), artefacts, {}, tmp_path)
    assert Routes.from_json(table.to_json()) == table
    route = table.models["intents"]
    assert route.chars_per_token == 3
    assert route.split == {Tier.CPU: 3, Tier.GPU: 1}
    assert route.targets[Tier.CPU].latency_ms == ((8, 4.25), (128, 30.5))
    sleeper = route.targets[Tier.GPU]
    assert (sleeper.wake, sleeper.wake_s) == (Wake.ESCALATION, wake_s)


def test_callers_may_ask_for_the_dimensions_that_both_tiers_were_proved_with(
    tmp_path: Path,
) -> None:
    model = ModelSpec(
        name="vectors",
        source="s",
        task=Task.FEATURE_EXTRACTION,
        eval=tmp_path,
        cpu=CpuSpec(),
        gpu=GpuSpec(instance="ml.g6.xlarge"),
    )
    cpu = replace(
        CPU, model="vectors", task=model.task, dimensions=384, details={SHORTER: [256, 64]}
    )
    gpu = replace(cpu, tier=Tier.GPU, digest="e" * 64, details={SHORTER: [128, 64]})
    manifests = {("vectors", Tier.CPU): cpu, ("vectors", Tier.GPU): gpu}
    table = make_routes(
        Deployment(models=(model,)), Artefacts(manifests=manifests, cascades={}), {}, tmp_path
    )
    assert Routes.from_json(table.to_json()) == table
    assert table.models["vectors"].shorter_dimensions == (64,)
