"""The attempts on both tiers, through real boto3 clients, at servers that fail in every way there is."""

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from contracts.http_errors import DeadlineExceeded, ServingError
from contracts.tasks import Wake
from functions.router.answering.budget import RetryBudget
from functions.router.targets.health import Condition
from tests.fixtures.router_app import target
from tests.functions.router.answering import scripted
from tests.functions.router.answering.deployment import (
    CPU,
    GPU,
    ROUTE,
    WAKE_S,
    TakenByAnother,
    deploy,
    over,
    told,
)
from tests.functions.router.answering.scripted import (
    ANSWERS,
    ASLEEP,
    CLOSES,
    CRASHES,
    CUT,
    DOWN,
    HANGS,
    MISSING,
    THROTTLES,
    TIMES_OUT,
    Scripted,
    Step,
    running,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (THROTTLES, "cpu_throttled"),
        (MISSING, "cpu_missing"),
        (DOWN, "cpu_failing"),
        (CRASHES, "cpu_failing"),
        (TIMES_OUT, "cpu_failing"),
        (scripted.aws(409, "ResourceConflictException"), "cpu_waking"),
    ],
    ids=["throttled", "missing", "down", "crash", "early timeout", "inactive"],
)
def test_a_tier_that_fails_is_answered_for_by_the_other(
    stack: ExitStack, fault: Step, reason: str
) -> None:
    both = deploy(stack, (fault,))
    answer = both.ask()
    assert (answer.target.tier, answer.reason, answer.degraded) == (GPU, reason, False)
    assert both.log == {"tier": GPU, "reason": reason, "attempts": 2}
    assert both.counts() == (1, 1)


def test_a_throttled_tier_is_left_alone_until_it_may_be_free(stack: ExitStack) -> None:
    both = deploy(stack, (THROTTLES, ANSWERS))
    assert both.ask().reason == "cpu_throttled"
    assert both.ask().reason == "cpu_throttled"
    assert both.counts() == (1, 2)
    both.clock.ahead += 0.6
    assert (both.ask().reason, both.ask().reason) == ("fits_cpu", "fits_cpu")
    assert both.counts() == (2, 0)


@pytest.mark.slow
def test_while_the_gpu_wakes_the_cpu_answers_and_one_call_a_minute_goes_there(
    stack: ExitStack,
) -> None:
    both = deploy(stack, (ANSWERS,), (ASLEEP,))
    for minute in range(WAKE_S // 60):
        for _ in range(3):
            answer = both.ask(tier=GPU)
            assert (answer.target.tier, answer.degraded) == (CPU, True)
            assert answer.reason == "gpu_waking"
        assert both.counts() == (3, 1), f"minute {minute}"
        both.clock.ahead += 60
    both.gpu.steps = [ANSWERS]
    answer = both.ask(tier=GPU)
    assert (answer.target.tier, answer.reason, answer.degraded) == (GPU, "pinned", False)
    # From then on all of them go there.
    both.ask(tier=GPU)
    assert both.counts() == (0, 2)


@pytest.mark.parametrize(
    "options", [{"tier": GPU, "allow_degraded": False}, {}], ids=["strict", "gpu only"]
)
def test_where_the_cpu_may_not_answer_the_caller_is_told_the_wake_time(
    stack: ExitStack, options: dict[str, Any]
) -> None:
    both = deploy(stack, (ANSWERS,), (ASLEEP,))
    route = ROUTE if options else replace(ROUTE, targets={GPU: ROUTE.targets[GPU]})
    for ahead, wait_s in ((0, 600), (10, 590), (50, 540)):
        both.clock.ahead += ahead
        with pytest.raises(ServingError) as caught:
            both.ask(route, **options)
        assert (caught.value.status, caught.value.retry_after_s) == (503, wait_s)
    # The first one and the one a minute later.
    assert both.counts() == (0, 2)


def test_a_tier_that_no_request_wakes_is_not_said_to_wake(stack: ExitStack) -> None:
    both = deploy(stack, (ANSWERS,), (ASLEEP,))
    route = replace(
        ROUTE, targets={**ROUTE.targets, GPU: target(GPU, wake_s=WAKE_S, wake=Wake.NEVER)}
    )
    assert both.ask(route, tier=GPU).reason == "gpu_asleep"


def test_a_connection_that_was_closed_meanwhile_is_replaced_once(stack: ExitStack) -> None:
    both = deploy(stack, (ANSWERS, CLOSES, ANSWERS))
    both.ask(tier=CPU)
    assert both.ask(tier=CPU).target.tier is CPU
    assert both.log == {"tier": CPU, "reason": "pinned", "attempts": 2}
    assert both.counts() == (3, 0)


def test_a_connection_that_is_closed_twice_is_not_tried_a_third_time(stack: ExitStack) -> None:
    both = deploy(stack, (CLOSES,))
    with pytest.raises(ServingError, match="cannot be reached"):
        both.ask(tier=CPU)
    assert both.counts() == (2, 0)


def test_a_connection_that_is_closed_late_is_not_tried_again(stack: ExitStack) -> None:
    both = deploy(stack, (Step(closes=True, hangs_s=0.6), ANSWERS))
    with pytest.raises(ServingError, match="cannot be reached"):
        both.ask(tier=CPU)
    assert both.counts() == (1, 0)


@pytest.mark.parametrize("fault", [CLOSES, CRASHES, TIMES_OUT], ids=["closed", "crash", "timeout"])
def test_a_request_that_is_not_idempotent_is_not_sent_again_once_it_may_have_run(
    stack: ExitStack, fault: Step
) -> None:
    both = deploy(stack, (fault,))
    with pytest.raises(ServingError):
        both.ask(idempotent=False)
    assert both.counts() == (1, 0)


@pytest.mark.parametrize("fault", [THROTTLES, MISSING, DOWN], ids=["throttled", "missing", "down"])
def test_a_request_that_is_not_idempotent_goes_elsewhere_where_nothing_has_run(
    stack: ExitStack, fault: Step
) -> None:
    both = deploy(stack, (fault,))
    assert both.ask(idempotent=False).target.tier is GPU


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "within_s", "status"),
    [(HANGS, 3, 504), (CUT, 20, 503)],
    ids=["hangs", "half a body"],
)
def test_nothing_is_tried_after_a_timeout_or_once_an_answer_has_begun(
    stack: ExitStack, fault: Step, within_s: float, status: int
) -> None:
    both = deploy(stack, (ANSWERS, fault))
    # The client is made, as in an instance that runs.
    both.ask()
    both.counts()
    with pytest.raises(ServingError) as caught:
        both.ask(within_s=within_s)
    assert caught.value.status == status
    assert both.counts() == (1, 0)


def test_a_tier_that_was_waited_for_all_of_its_time_is_late(stack: ExitStack) -> None:
    both = deploy(stack, (ANSWERS, HANGS))
    both.ask()
    both.clock.stop()
    hurried = replace(ROUTE, targets={CPU: target(CPU, timeout_s=1)})
    with pytest.raises(DeadlineExceeded, match="did not answer in 1 s"):
        both.ask(hurried, within_s=1.1)


def test_callers_with_little_time_find_a_tier_that_hangs_and_the_next_go_elsewhere(
    stack: ExitStack,
) -> None:
    """The third has waited in vain for longer than a function starts and runs, since the first was sent."""
    both = deploy(stack, (HANGS,))
    # So that each is sent, however busy this machine is.
    both.clock.stop()
    for _ in range(3):
        both.clock.ahead += 16
        with pytest.raises(DeadlineExceeded):
            both.ask(within_s=0.05, deadline_ms=50)
    assert (both.ask().reason, both.log["tier"]) == ("cpu_failing", GPU)


def test_what_is_expected_of_one_tier_says_how_long_the_other_may_be_silent(
    stack: ExitStack,
) -> None:
    """Of a GPU tier that hangs a new instance knows nothing, but the build has timed the CPU tier."""
    both = deploy(stack, (ANSWERS,), (HANGS,))
    route = replace(ROUTE, targets={**ROUTE.targets, CPU: target(CPU, latency_ms=((8, 3.0),))})
    both.clock.stop()
    for _ in range(3):
        both.clock.ahead += 0.8
        with pytest.raises(DeadlineExceeded):
            both.ask(route, within_s=0.05, deadline_ms=50, tier=GPU)
    assert (both.ask(route, tier=GPU).reason, both.log["tier"]) == ("gpu_failing", CPU)


def test_a_request_whose_time_is_over_is_sent_nowhere(stack: ExitStack) -> None:
    both = deploy(stack, (ANSWERS,))
    with pytest.raises(DeadlineExceeded):
        both.ask(within_s=0)
    assert both.counts() == (0, 0)


def test_a_trial_that_another_request_has_begun_goes_to_the_other_tier(stack: ExitStack) -> None:
    both = deploy(stack, (THROTTLES,))
    both.answering.attempts.states = TakenByAnother(both.clock)
    both.ask()
    both.counts()
    both.clock.ahead += 2
    assert (both.ask().reason, both.counts()) == ("cpu_throttled", (0, 1))


def test_a_tier_that_cannot_be_reached_is_tried_twice_and_then_the_other(stack: ExitStack) -> None:
    gpu = stack.enter_context(running(ANSWERS))
    both = over(stack, Scripted([ANSWERS], address=scripted.unserved()), gpu)
    answer = both.ask()
    assert (answer.target.tier, both.log["attempts"]) == (GPU, 3)


def test_what_is_the_fault_of_a_request_is_not_tried_elsewhere(stack: ExitStack) -> None:
    problem = {"type": "urn:turnout:problem:too-large", "detail": "65 inputs"}
    both = deploy(stack, (Step(body={"problem": problem}),))
    with pytest.raises(ServingError, match="65 inputs") as caught:
        both.ask()
    assert caught.value.status == 413
    assert both.counts() == (1, 0)
    assert both.answering.attempts.states.of(ROUTE.targets[CPU]).condition is Condition.READY


def test_second_attempts_are_a_share_of_the_requests(stack: ExitStack) -> None:
    cpu, gpu = (stack.enter_context(running(step)) for step in (TIMES_OUT, ANSWERS))
    both = over(stack, cpu, gpu, RetryBudget(share=0.25, most=2))
    # The breaker would open after five, and then no second attempt is needed.
    assert [told(both) for _ in range(4)] == [GPU, GPU, 504, 504]


def test_a_breaker_sends_requests_straight_to_the_other_tier_and_tries_again_later(
    stack: ExitStack,
) -> None:
    both = deploy(stack, (DOWN,))
    for _ in range(8):
        assert both.ask().reason == "cpu_failing"
    assert both.counts() == (5, 8)
    both.clock.ahead += 10
    both.cpu.steps = [ANSWERS]
    assert [both.ask().reason for _ in range(2)] == ["fits_cpu", "fits_cpu"]
    assert both.counts() == (2, 0)


def test_a_version_that_a_tier_does_not_have_yet_is_not_answered_by_another(
    stack: ExitStack,
) -> None:
    both = deploy(stack, (ANSWERS,))
    with pytest.raises(ServingError, match="version f00dfeed0000 for now"):
        both.ask(version=ROUTE.targets[CPU].version)
    assert both.answering.attempts.states.of(ROUTE.targets[CPU]).condition is Condition.READY


def test_the_tier_is_told_the_time_that_its_caller_still_waits(stack: ExitStack) -> None:
    both = deploy(stack, (ANSWERS,))
    both.clock.stop()
    route = replace(ROUTE, targets={CPU: target(CPU, timeout_s=10)})
    for within_s in (20, 3):
        both.ask(route, within_s=within_s)
    whole, short = (seen["deadline_ms"] for seen in both.cpu.seen)
    assert (whole, short) == pytest.approx((10_000, 2950), abs=1)
