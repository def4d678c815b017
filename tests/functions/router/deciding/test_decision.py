"""The decision on a request, as a table of requests, states and profiles."""

from dataclasses import replace
from typing import Any

import pytest

from contracts.http_errors import InvalidInput, TierUnavailable
from contracts.prediction import PredictRequest, Prefer
from contracts.routes import Cascade, Route
from contracts.tasks import Task, Tier, Wake
from functions.router.deciding.decision import REASONS, Plan, decide
from functions.router.deciding.rules import RULES, of_tier, ranked, split, uncut, within_limits
from functions.router.targets.health import Condition, TargetState
from tests.fixtures.problems import assert_request_problems, raises
from tests.fixtures.router_app import INTENTS, VECTORS, target
from tests.functions.router.deciding.cases import GPU_ONLY, NOW, case, profiled, request

CPU, GPU = Tier.CPU, Tier.GPU


def decided(plan: Plan) -> tuple[Tier, str, Tier | None]:
    fallback = plan.fallback.tier if plan.fallback else None
    return plan.primary.tier, plan.reason, fallback


@pytest.mark.parametrize(
    ("route", "predict", "primary", "reason", "fallback"),
    [
        (INTENTS, request("hi"), CPU, "fits_cpu", GPU),
        (INTENTS, request("hi", tier=CPU), CPU, "pinned", None),
        (INTENTS, request("hi", tier=GPU), GPU, "pinned", CPU),
        (INTENTS, request("hi", tier=GPU, allow_degraded=False), GPU, "pinned", None),
        (INTENTS, request(*["hi"] * 4), CPU, "fits_cpu", GPU),
        (INTENTS, request(*["hi"] * 5), GPU, "fits_gpu", None),
        (INTENTS, request("a" * 100), CPU, "fits_cpu", GPU),
        (INTENTS, request("a" * 60, "b" * 41), GPU, "fits_gpu", None),
        (INTENTS, request(*["hi"] * 40), GPU, "fits_gpu", None),
        (INTENTS, request("hi", prefer=Prefer.QUALITY), GPU, "prefer_quality", CPU),
        (INTENTS, request("hi", prefer=Prefer.CHEAP), CPU, "prefer_cheap", GPU),
        (INTENTS, request(*["hi"] * 5, prefer=Prefer.CHEAP), GPU, "fits_gpu", None),
        # Nothing was timed, so nothing is faster.
        (INTENTS, request("hi", prefer=Prefer.FAST), CPU, "prefer_fast", GPU),
        (profiled(), request("hi", prefer=Prefer.FAST), GPU, "prefer_fast", CPU),
        (INTENTS, request("hi", version="gpu0000000000"), GPU, "pinned", None),
        (GPU_ONLY, request("hi"), GPU, "fits_gpu", None),
        (VECTORS, request(*["hi"] * 600), CPU, "fits_cpu", None),
    ],
)
def test_the_rules_filter_the_targets_and_rank_what_is_left(
    route: Route, predict: PredictRequest, primary: Tier, reason: str, fallback: Tier | None
) -> None:
    plan = decide(case(predict, route))
    assert decided(plan) == (primary, reason, fallback)
    assert (plan.wanted, plan.trial) == (plan.primary, False)
    assert plan.reason in REASONS


@pytest.mark.parametrize(
    ("characters", "left_ms", "tier", "reason"),
    [
        # 32 characters are 8 tokens, and 80 are 20: half way between the two lengths that were timed.
        (32, 10, CPU, "fits_cpu"),
        (32, 9, GPU, "in_time"),
        (80, 22, CPU, "fits_cpu"),
        (80, 21, GPU, "in_time"),
        # None is expected in time: the caller's own clock decides.
        (80, 2, CPU, "fits_cpu"),
    ],
)
def test_a_tier_that_is_expected_after_the_deadline_is_passed_over(
    characters: int, left_ms: float, tier: Tier, reason: str
) -> None:
    predict = request("a" * characters, deadline=NOW + left_ms / 1e3 + 1e-9)
    plan = decide(case(predict, profiled()))
    assert (plan.primary.tier, plan.reason) == (tier, reason)


def test_of_a_batch_every_input_takes_its_time() -> None:
    four = request(*["a" * 4] * 4, deadline=NOW + 0.039)
    assert decide(case(four, profiled())).primary.tier is GPU
    assert decide(case(replace(four, deadline=NOW + 0.041), profiled())).primary.tier is CPU


def test_where_the_build_timed_nothing_the_tiers_own_answers_count() -> None:
    slow = TargetState(token_ms=5.0)
    predict = request("a" * 80, deadline=NOW + 0.099)
    route = replace(INTENTS, chars_per_token=4.0)
    assert decide(case(predict, route)).primary.tier is CPU
    assert decide(case(predict, route, cpu=slow)).primary.tier is GPU


def test_text_that_is_generated_ends_at_the_deadline_and_is_never_late() -> None:
    predict = request("a" * 32, deadline=NOW + 0.001)
    route = replace(profiled(), task=Task.TEXT_GENERATION)
    assert decide(case(predict, route)).reason == "fits_cpu"


@pytest.mark.parametrize("condition", [c for c in Condition if c is not Condition.READY])
def test_while_the_wanted_tier_is_not_ready_the_other_answers_and_says_why(
    condition: Condition,
) -> None:
    plan = decide(case(request("hi"), cpu=condition))
    assert (plan.primary.tier, plan.reason) == (GPU, f"cpu_{condition}")
    assert not plan.degraded(plan.primary)
    plan = decide(case(request("hi", tier=GPU), gpu=condition))
    assert (plan.primary.tier, plan.reason) == (CPU, f"gpu_{condition}")
    assert plan.degraded(plan.primary)


@pytest.mark.parametrize("condition", [Condition.ASLEEP, Condition.FAILING])
def test_where_no_other_tier_may_answer_the_caller_is_told_when_to_come_back(
    condition: Condition,
) -> None:
    state = TargetState(condition=condition, until=NOW + 30)
    strict = request("hi", tier=GPU, allow_degraded=False)
    for predict, route in ((request("hi"), GPU_ONLY), (strict, profiled())):
        with pytest.raises(TierUnavailable, match=f"the gpu tier is {condition}") as caught:
            decide(case(predict, route, gpu=state))
        assert caught.value.retry_after_s == (600 if condition is Condition.ASLEEP else 30)


def test_a_tier_that_wakes_is_back_after_what_is_left_of_its_wake_time() -> None:
    waking = TargetState(condition=Condition.ASLEEP, until=NOW + 30, woken=NOW - 200)
    with pytest.raises(TierUnavailable, match="the gpu tier is waking") as caught:
        decide(case(request("hi"), GPU_ONLY, gpu=waking))
    assert caught.value.retry_after_s == 400


@pytest.mark.parametrize("condition", [Condition.THROTTLED, Condition.MISSING, Condition.WAKING])
def test_a_tier_whose_refusal_costs_little_is_asked_where_nothing_else_answers(
    condition: Condition,
) -> None:
    plan = decide(case(request("hi"), GPU_ONLY, gpu=condition))
    assert (decided(plan), plan.trial) == ((GPU, "fits_gpu", None), False)


@pytest.mark.parametrize(
    ("wake", "predict", "wakes"),
    [
        (Wake.PINNED, request("hi", tier=GPU), True),
        (Wake.PINNED, request(*["hi"] * 5), True),
        (Wake.PINNED, request("hi", prefer=Prefer.QUALITY), False),
        (Wake.ESCALATION, request("hi", prefer=Prefer.QUALITY), True),
        # The stack lets no request wake it, so that asking does no more than learn that it is awake.
        (Wake.NEVER, request("hi", tier=GPU), True),
        (Wake.NEVER, request("hi", prefer=Prefer.QUALITY), False),
    ],
)
def test_a_tier_that_sleeps_is_asked_again_by_those_who_may_wake_it(
    wake: Wake, predict: PredictRequest, wakes: bool
) -> None:
    asleep = TargetState(condition=Condition.ASLEEP, until=NOW)
    plan = decide(case(predict, profiled(wake=wake), gpu=asleep))
    assert (plan.primary.tier, plan.trial) == ((GPU, True) if wakes else (CPU, False))


WIDE = replace(VECTORS, targets={CPU: target(CPU, max_inputs=2000, max_chars=100_000)})


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
            request(*["hi"] * 5, tier=CPU),
            ("pins the cpu tier", "5 inputs", "its 4"),
        ),
        (
            INTENTS,
            request(*["hi"] * 5, version="cpu0000000000"),
            ("support-intent", "cpu: 5 inputs", "its 4)"),
        ),
        (
            VECTORS,
            request(*["hi"] * 782),
            ("sentence-embedding", "cpu: 782 vectors of 384 floats", "6 MB", "646"),
        ),
        (
            WIDE,
            request(*["hi"] * 2000, parameters={"dimensions": 128}),
            ("sentence-embedding", "cpu: 2000 vectors of 128 floats", "6 MB", "1890"),
        ),
    ],
    ids=["inputs", "characters", "pinned", "pinned version", "vectors", "shorter vectors"],
)
def test_what_no_tier_takes_is_refused_with_every_limit(
    route: Route, predict: PredictRequest, limits: tuple[str, ...]
) -> None:
    with raises("too_large", *limits):
        decide(case(predict, route))


def test_more_vectors_fit_one_answer_where_they_are_asked_for_shorter() -> None:
    plan = decide(case(request(*["hi"] * 782, parameters={"dimensions": 128}), VECTORS))
    assert plan.primary.tier is CPU
    # What the model was not proved with is refused by its tier, and counts as whole vectors here.
    with raises("too_large", "782 vectors of 384 floats"):
        decide(case(request(*["hi"] * 782, parameters={"dimensions": [1]}), VECTORS))


def test_a_tier_or_a_version_that_a_model_lacks_is_a_problem_in_the_request() -> None:
    with pytest.raises(InvalidInput) as caught:
        decide(case(request("hi", tier=GPU), VECTORS))
    assert_request_problems(
        caught.value.problems, ("/tier", "sentence-embedding", "no gpu tier", "has cpu")
    )
    with pytest.raises(InvalidInput) as caught:
        decide(case(request("hi", version="other")))
    assert_request_problems(
        caught.value.problems,
        ("/version", "support-intent", "cpu0000000000 (cpu)", "gpu0000000000"),
    )


def test_other_rules_decide_otherwise() -> None:
    assert RULES[-3:] == (ranked, split, uncut)
    backwards = (of_tier, within_limits, lambda case, targets: targets[::-1])
    assert decide(case(request("hi")), rules=backwards).primary.tier is GPU


def cascaded(**changes: Any) -> Route:
    cascade = Cascade(
        threshold=0.8, parameters={}, rows=500, kept=0.7, lost=0.0, bound=0.01, assurance=0.95
    )
    return replace(INTENTS, cascade=replace(cascade, **changes))


@pytest.mark.parametrize(
    ("route", "predict", "expected"),
    [
        (cascaded(), request("hi"), (GPU, "withdrawn", CPU)),
        (cascaded(), request("hi", allow_degraded=False), (GPU, "withdrawn", None)),
        (cascaded(), request("hi", prefer=Prefer.QUALITY), (GPU, "prefer_quality", CPU)),
        (cascaded(), request("hi", prefer=Prefer.CHEAP), (CPU, "prefer_cheap", GPU)),
        (cascaded(), request("hi", tier=CPU), (CPU, "pinned", None)),
        (
            replace(cascaded(), split={CPU: 1, GPU: 0}),
            request("hi", client="ada"),
            (GPU, "withdrawn", CPU),
        ),
        # Nothing was promised of these.
        (cascaded(off="other artefacts"), request("hi"), (CPU, "fits_cpu", GPU)),
        (cascaded(parameters={"a": 1}), request("hi"), (CPU, "fits_cpu", GPU)),
        (INTENTS, request("hi"), (CPU, "fits_cpu", GPU)),
        (
            replace(cascaded(), targets={**INTENTS.targets, GPU: target(GPU, max_chars=1)}),
            request("hi"),
            (CPU, "fits_cpu", None),
        ),
    ],
)
def test_without_its_threshold_a_cascade_asks_the_gpu_tier_for_everything(
    route: Route, predict: PredictRequest, expected: tuple[Tier, str, Tier | None]
) -> None:
    assert decided(decide(replace(case(predict, route), withdrawn=True))) == expected


def test_while_the_gpu_tier_sleeps_answers_without_a_threshold_are_degraded() -> None:
    asked = replace(case(request("hi"), cascaded(), gpu=Condition.ASLEEP), withdrawn=True)
    plan = decide(asked)
    assert decided(plan) == (CPU, "gpu_asleep", None)
    assert plan.degraded(plan.primary)


@pytest.mark.parametrize(
    ("chance", "predict", "shadow"),
    [
        (0.04, request("hi"), True),
        (0.05, request("hi"), False),
        (0.04, request("hi", tier=CPU), True),
        (0.04, request("hi", tier=GPU), False),
    ],
)
def test_a_share_of_the_requests_of_the_cpu_tier_is_shadowed(
    chance: float, predict: PredictRequest, shadow: bool
) -> None:
    route = replace(INTENTS, targets={CPU: target(CPU), GPU: target(GPU, shadow=0.05)})
    assert decide(replace(case(predict, route), chance=chance)).shadow is shadow


def test_without_a_gpu_tier_nothing_is_shadowed() -> None:
    assert not decide(replace(case(request("hi"), VECTORS), chance=0.0)).shadow
