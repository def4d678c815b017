"""Costs around the tiers are of what is deployed: alarms by their metrics, functions by their memory."""

from dataclasses import replace
from typing import Any

import pytest

from contracts.models_toml import read_models_toml
from contracts.routes import Cascade
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task, Tier
from stacks.costs.prices import price
from stacks.costs.requests import BYTES_PER_GB
from tests.fixtures.synthesis import of_settings
from tests.stacks.mutants.mutation import ROUTER, SETTINGS, STATES
from turnout.plan.around import CODE_MB, Around, alarm_metrics, around, own_metrics, usd_of
from turnout.plan.costs import MILLION, TierCost
from turnout.plan.latency import Latency

CASCADE = Cascade(
    threshold=0.8, parameters={}, rows=500, kept=0.5, lost=0.0, bound=0.01, assurance=0.95
)
LATENCY = Latency(ms=10.0, new_tokens=0, machine="AMD EPYC", date="2026-11-26")


def model(**gpu: Any) -> ModelSpec:
    """Return a model of two tiers with a canary."""
    return ModelSpec(
        name="intents",
        source="nowhere",
        task=Task.TEXT_CLASSIFICATION,
        eval=SETTINGS,
        cpu=CpuSpec(canary_minutes=10),
        gpu=GpuSpec(instance="ml.g6.xlarge", **gpu),
    )


def priced(
    spec: ModelSpec, cascade: Cascade | None = None, latency: Latency | str = LATENCY
) -> dict[str, Around]:
    """Return what is around the tiers of one model, by the first word of each."""
    deployment = Deployment(name="shop", models=(spec,))
    cost = TierCost(
        model=spec.name, tier=Tier.CPU, idle={}, latency=latency, request={}, rates={}, prices=()
    )
    cascades = {spec.name: cascade} if cascade else {}
    found = around(deployment, cascades, [cost])
    return {one.what.removeprefix("intents: ").split()[0].rstrip(":"): one for one in found}


def usd(one: Around) -> float:
    assert one.request is not None
    return usd_of(one.request, "us-east-1") * MILLION


@pytest.mark.system
def test_alarms_and_functions_are_those_of_the_templates() -> None:
    stacks, deployment = of_settings(SETTINGS), read_models_toml(SETTINGS)
    metrics = sum(
        sum("MetricStat" in query for query in alarm["Properties"].get("Metrics", ())) or 1
        for alarm in stacks.everywhere("AWS::CloudWatch::Alarm")
    )
    assert metrics == sum(alarm_metrics(spec, None) for spec in deployment.models)
    of_code = [
        function["Properties"]
        for stack in (ROUTER, STATES)
        for function in stacks.resources(stack, "AWS::Lambda::Function").values()
        if function["Properties"].get("Runtime")
    ]
    assert {one["MemorySize"] for one in of_code} == {CODE_MB}
    assert len(of_code) == 3


def test_without_a_gpu_tier_there_are_metrics_alone() -> None:
    spec = replace(model(), gpu=None, cpu=CpuSpec())
    found = priced(spec)
    assert [*found] == ["metrics"]
    assert usd_of(found["metrics"].busy, "us-east-1") == pytest.approx(2 * 0.3)


def test_the_observer_and_its_rows_cost_a_little_even_while_nobody_calls() -> None:
    states = priced(model())["shared"]
    # 43,800 calls, each of half a second with a quarter of a GB; a write each; 260 bytes of log each.
    expected = 43_800 * (0.2e-6 + 0.125 * 0.0000166667 + 0.625e-6) + 43_800 * 260 / 2**30 * 0.5
    assert usd_of(states.idle, "us-east-1") == pytest.approx(expected)
    assert usd_of(states.busy, "us-east-1") == pytest.approx(525_600 * 0.125e-6)


def test_a_model_that_writes_has_those_of_its_texts_as_well() -> None:
    assert own_metrics(replace(model(), task=Task.TEXT_GENERATION), None) == 8


@pytest.mark.parametrize(
    ("gpu", "cascade", "alarms", "metrics"),
    [
        ({}, None, 1, 4),
        ({"shadow": 0.1}, None, 5, 6),
        ({}, CASCADE, 5, 7),
        ({}, replace(CASCADE, off="stale"), 1, 4),
        ({"shadow": 0.1}, CASCADE, 5, 9),
        ({"min_instances": 0}, None, 2, 4),
        ({"min_instances": 2, "max_instances": 2}, None, 3, 4),
    ],
)
def test_alarms_and_metrics_are_counted(
    gpu: dict[str, Any], cascade: Cascade | None, alarms: int, metrics: int
) -> None:
    spec = model(**gpu)
    assert (alarm_metrics(spec, cascade), own_metrics(spec, cascade)) == (alarms, metrics)
    found = priced(spec, cascade)
    assert usd_of(found["alarms"].idle, "us-east-1") == pytest.approx(alarms * 0.1)


def test_a_share_of_the_requests_costs_its_share_of_the_sampling_function() -> None:
    tenth, whole = (usd(priced(model(shadow=share))["shadows"]) for share in (0.1, 1.0))
    assert whole == pytest.approx(10 * tenth)
    assert whole > MILLION * price("lambda_request", "us-east-1").first
    # Of kept answers half, and of these the share; each has a row to be read and written as well.
    kept = usd(priced(model(sample=0.2), CASCADE)["samples"])
    assert kept == pytest.approx(tenth + 0.1 * MILLION * (0.125e-6 + 0.625e-6))
    asleep = usd(priced(model(sample=0.2, min_instances=0), CASCADE)["samples"])
    assert asleep == pytest.approx(kept + 0.1 * MILLION * 0.125e-6)


def test_what_was_not_measured_has_no_price() -> None:
    shadows = priced(model(shadow=0.1), latency="not built")["shadows"]
    assert shadows.request is None
    assert shadows.to_json("us-east-1")["usd_per_million_requests"] is None


def test_weights_in_s3_are_paid_for_by_the_month() -> None:
    found = around(Deployment(models=()), {}, [], 140 * BYTES_PER_GB)
    (weights,) = [one for one in found if one.what == "weights in S3: 140.0 GB"]
    assert usd_of(weights.idle, "us-east-1") == pytest.approx(140 * 0.023)
    assert (weights.busy, weights.request) == ({}, {})
    assert not [one for one in around(Deployment(models=()), {}, []) if "S3" in one.what]
