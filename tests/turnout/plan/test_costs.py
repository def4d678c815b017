"""`turnout plan` says what a deployment costs: the page on costs has what it prints, and each figure has its ground."""

import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from contracts.manifest import read_manifest
from contracts.models_toml import read_models_toml
from contracts.specs import CpuSpec, Deployment, ModelSpec
from contracts.tasks import Task, Tier
from stacks.costs.tiers import SECONDS_PER_MONTH, idle_gpu_cost
from tests.fixtures.models.tiny import Tiny, artefact, vectors
from tests.fixtures.paths import ROOT
from turnout.plan.around import around
from turnout.plan.costs import TierCost, break_evens, model_costs, total
from turnout.plan.latency import Latency
from turnout.plan.shown import show_costs, shown_count
from turnout.terminal import usd

EXAMPLE = read_models_toml(ROOT / "models.toml")
EMBEDDER = vectors(384)
ARTEFACTS = {
    ("support-intent", Tier.CPU): Tiny(model="support-intent", precision="int8"),
    ("support-intent", Tier.GPU): Tiny(model="support-intent", tier=Tier.GPU),
    ("sentence-embedding", Tier.CPU): replace(EMBEDDER, model="sentence-embedding"),
}
# As the build of the examples measured them.
MEASURED = {"support-intent": 4.4235, "sentence-embedding": 6.4437}
IMAGES = {Tier.CPU: 60_000_000, Tier.GPU: 2_500_000_000}


def write_evidence(out: Path, model: str, tier: Tier, **changes: Any) -> None:
    document = {
        "digest": read_manifest(out / model / tier).digest,
        "expected_ms": MEASURED[model] if tier is Tier.CPU else 0.0,
        "unit": "row",
        "machine": "AMD EPYC",
        "date": "2026-11-26",
        **changes,
    }
    path = out / model / "evidence" / f"{tier}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document), "utf-8")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return a folder with the example's artefacts, tiny, and the latencies that were measured of the real ones."""
    for (model, tier), tiny in ARTEFACTS.items():
        artefact(tmp_path / model / tier, tiny)
        write_evidence(tmp_path, model, tier)
    return tmp_path


def costs_of(out: Path, deployment: Deployment = EXAMPLE) -> list[TierCost]:
    return [
        cost for model in deployment.models for cost in model_costs(model, deployment, out, IMAGES)
    ]


def printed(out: Path, deployment: Deployment = EXAMPLE, width: int = 120) -> str:
    costs = costs_of(out, deployment)
    evens = [
        even
        for model in deployment.models
        for even in break_evens(
            model, [cost for cost in costs if cost.model == model.name], deployment.region
        )
    ]
    text = StringIO()
    show_costs(
        costs,
        evens,
        around(deployment, {}, costs),
        deployment.region,
        Console(file=text, width=width),
    )
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def test_the_page_on_costs_has_what_is_printed(out: Path) -> None:
    page = (ROOT / "docs/costs.md").read_text("utf-8")
    (block,) = re.findall(r"```text\n(.*?)\n```", page, re.DOTALL)
    assert block == printed(out)


def test_a_gpu_has_no_price_for_a_request_without_a_rate(out: Path) -> None:
    (gpu,) = (cost for cost in costs_of(out) if cost.tier is Tier.GPU)
    document = gpu.to_json()
    assert document["usd_per_million_requests"] is None
    assert gpu.request == {}
    for rate, parts in gpu.rates.items():
        # The instance's month, divided among the requests of a month at that rate.
        month = parts["model"] * rate * SECONDS_PER_MONTH
        assert month == pytest.approx(idle_gpu_cost("ml.g6.xlarge"))
    at = document["usd_per_million_requests_at"]
    assert list(at) == ["1", "10", "100"]
    assert at["1"]["model"] == pytest.approx(10 * at["10"]["model"], abs=0.01)
    assert "gpu, 10 a second" in printed(out)


def test_the_parts_add_up(out: Path) -> None:
    for cost in costs_of(out):
        for parts in [cost.request, *cost.rates.values()]:
            if parts:
                assert sum(parts.values()) * 1e6 == pytest.approx(total(parts))
        assert cost.idle_usd == pytest.approx(sum(cost.idle.values()))


def test_at_the_break_even_the_deployment_costs_the_same_on_either_tier(out: Path) -> None:
    model = EXAMPLE.models[0]
    cpu, gpu = model_costs(model, EXAMPLE, out, {})
    (even,) = break_evens(model, [cpu, gpu], EXAMPLE.region)
    assert even.requests_per_month
    count, rate = even.requests_per_month, even.requests_per_month / SECONDS_PER_MONTH
    function = sum(cpu.request.values()) * count
    # What is shown for a rate holds the instance; the break-even has the router wait as long for either tier.
    waits = {part: usd for part, usd in gpu.rates[1].items() if part != "model"}
    assert function == pytest.approx(gpu.idle_usd + sum(waits.values()) * count, rel=0.01)
    assert even.deployed
    assert even.to_json()["requests_per_second"] == pytest.approx(rate, abs=0.001)


def test_a_model_without_a_gpu_is_compared_with_the_cheapest_and_it_is_said(out: Path) -> None:
    model = EXAMPLE.models[1]
    (even,) = break_evens(model, model_costs(model, EXAMPLE, out, {}), EXAMPLE.region)
    assert (even.instance, even.deployed) == ("ml.g4dn.xlarge", False)
    assert "an ml.g4dn.xlarge, were it deployed," in printed(out)


def test_a_slower_artefact_breaks_even_at_less_traffic(out: Path) -> None:
    model = EXAMPLE.models[0]
    counts = []
    for ms in (1, 5, 50, 5000):
        write_evidence(out, model.name, Tier.CPU, expected_ms=ms)
        (even,) = break_evens(model, model_costs(model, EXAMPLE, out, {}), EXAMPLE.region)
        assert even.requests_per_month
        counts.append(even.requests_per_month)
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 4


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "its evidence cannot be read (FileNotFoundError)"),
        (lambda path: path.write_text("{", "utf-8"), "cannot be read (JSONDecodeError)"),
        (lambda path: path.write_text("[]", "utf-8"), "cannot be read (TypeError)"),
        (lambda path: path.write_text("{}", "utf-8"), "cannot be read (KeyError)"),
    ],
    ids=["none", "damaged", "a list", "empty"],
)
def test_what_was_not_measured_is_said_and_has_no_price(out: Path, spoil: Any, said: str) -> None:
    spoil(out / "support-intent/evidence/cpu.json")
    cpu = costs_of(out)[0]
    assert isinstance(cpu.latency, str)
    assert said in cpu.latency
    assert cpu.request == {}
    assert cpu.to_json()["latency"] is None
    text = printed(out)
    assert re.search(r"support-intent cpu +\$0\.01 +not measured\n", text)
    assert f"support-intent cpu: not measured: {cpu.latency[14:]}" in text
    # A break-even would be made up.
    assert "ml.g6.xlarge is cheaper" not in text


def test_the_evidence_of_another_artefact_measures_nothing(out: Path) -> None:
    write_evidence(out, "support-intent", Tier.CPU, digest="0" * 64)
    assert costs_of(out)[0].latency == "not measured: its evidence is of another artefact"


def test_what_is_not_built_has_no_price(tmp_path: Path) -> None:
    assert {cost.latency for cost in costs_of(tmp_path)} == {"not built"}
    assert "cheaper" not in printed(tmp_path)


def test_a_generators_request_is_one_of_its_default_of_new_tokens(out: Path) -> None:
    write_evidence(out, "support-intent", Tier.CPU, expected_ms=20.0, unit="new token")
    latency = costs_of(out)[0].latency
    assert isinstance(latency, Latency)
    assert (latency.ms, latency.new_tokens) == (20 * 64, 64)
    assert "1,280.0 ms a request of 64 new tokens" in printed(out)


def test_the_price_of_another_region_is_said_to_be_one(out: Path) -> None:
    paris = replace(EXAMPLE, region="eu-west-3")
    text = printed(out, paris, width=200)
    assert "eu-west-3 price of 2026-10-04: $1.4302 each hour of ml.g6.xlarge" in text
    assert (
        "us-east-1 price of 2026-09-19, since none of eu-west-3 is known: $0.0000002 each invocation"
        in text
    )
    assert costs_of(out, paris)[1].idle["instance"] == pytest.approx(1.4302 * 730)


def test_a_snapshot_is_paid_for_while_idle(out: Path) -> None:
    model = ModelSpec(
        name="support-intent",
        source="nowhere",
        task=Task.TEXT_CLASSIFICATION,
        eval=Path("nowhere"),
        cpu=CpuSpec(snap_start=True),
    )
    (cost,) = model_costs(model, EXAMPLE, out, {})
    assert 6 < cost.idle["snapshot"] < 8
    assert any("snapshot" in price.unit for price in cost.prices)


def test_numbers_are_read_at_a_glance() -> None:
    assert [usd(amount) for amount in (0, 0.004, 2.345, 99.994, 822.71, 12_345.6)] == [
        "$0.00",
        "$0.00",
        "$2.35",
        "$99.99",
        "$823",
        "$12,346",
    ]
    assert [shown_count(count) for count in (12, 4_500, 981e6, 1.679e9)] == [
        "12",
        "4.5 thousand",
        "981 million",
        "1.68 billion",
    ]
