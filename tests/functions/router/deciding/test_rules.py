"""The rules that choose the tier, as a table of requests."""

import pytest

from contracts.http_errors import InvalidInput
from contracts.prediction import PredictRequest
from contracts.routes import Route
from contracts.tasks import Task, Tier
from functions.router.deciding.rules import RULES, Decision, decide, fits_cpu, fits_gpu, pinned
from tests.fixtures.problems import assert_request_problems, raises
from tests.fixtures.router_app import INTENTS, VECTORS, target

GPU_ONLY = Route(
    model="large",
    task=Task.TEXT_CLASSIFICATION,
    targets={Tier.GPU: target(Tier.GPU)},
    labels=("a",),
)


def request(*inputs: str, tier: Tier | None = None) -> PredictRequest:
    return PredictRequest(inputs=inputs, tier=tier)


@pytest.mark.parametrize(
    ("route", "predict", "tier", "reason"),
    [
        (INTENTS, request("hi"), Tier.CPU, "fits_cpu"),
        (INTENTS, request("hi", tier=Tier.CPU), Tier.CPU, "pinned"),
        (INTENTS, request("hi", tier=Tier.GPU), Tier.GPU, "pinned"),
        (INTENTS, request(*["hi"] * 4), Tier.CPU, "fits_cpu"),
        (INTENTS, request(*["hi"] * 5), Tier.GPU, "fits_gpu"),
        (INTENTS, request("a" * 100), Tier.CPU, "fits_cpu"),
        (INTENTS, request("a" * 60, "b" * 41), Tier.GPU, "fits_gpu"),
        (INTENTS, request(*["hi"] * 40), Tier.GPU, "fits_gpu"),
        (GPU_ONLY, request("hi"), Tier.GPU, "fits_gpu"),
        (VECTORS, request(*["hi"] * 600), Tier.CPU, "fits_cpu"),
    ],
    ids=[
        "small",
        "pinned cpu",
        "pinned gpu",
        "4",
        "5",
        "100 characters",
        "101 characters",
        "40",
        "gpu only",
        "vectors",
    ],
)
def test_the_first_rule_that_returns_a_decision_decides(
    route: Route, predict: PredictRequest, tier: Tier, reason: str
) -> None:
    assert decide(predict, route) == Decision(target=route.targets[tier], reason=reason)


@pytest.mark.parametrize(
    ("route", "predict", "limits"),
    [
        (
            INTENTS,
            request(*["hi"] * 41),
            ("support-intent", "cpu: 41 inputs", "its 4;", "gpu: 41 inputs", "its 40)"),
        ),
        (
            INTENTS,
            request("a" * 1001),
            ("support-intent", "cpu: 1001 characters", "its 100;", "gpu: 1001", "its 1000)"),
        ),
        (
            INTENTS,
            request(*["hi"] * 5, tier=Tier.CPU),
            ("pins the cpu tier", "5 inputs", "its 4"),
        ),
        (
            VECTORS,
            request(*["hi"] * 782),
            ("sentence-embedding", "cpu: 782 vectors of 384 floats", "6 MB", "646"),
        ),
    ],
    ids=["inputs", "characters", "pinned", "vectors"],
)
def test_what_no_tier_takes_is_refused_with_every_limit(
    route: Route, predict: PredictRequest, limits: tuple[str, ...]
) -> None:
    with raises("too_large", *limits):
        decide(predict, route)


def test_a_tier_that_a_model_lacks_is_a_problem_in_the_request() -> None:
    with pytest.raises(InvalidInput) as caught:
        decide(request("hi", tier=Tier.GPU), VECTORS)
    assert_request_problems(
        caught.value.problems, ("/tier", "sentence-embedding", "no gpu tier", "has cpu")
    )


def test_the_rules_stand_in_the_order_of_their_price() -> None:
    assert RULES == (pinned, fits_cpu, fits_gpu)


def test_another_order_of_rules_decides_otherwise() -> None:
    decision = decide(request("hi"), INTENTS, rules=(pinned, fits_gpu, fits_cpu))
    assert decision == Decision(target=INTENTS.targets[Tier.GPU], reason="fits_gpu")
