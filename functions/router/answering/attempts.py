"""The attempts on the targets of a plan: each within the deadline, a further one only where that is safe.

A request whose model may have run is sent again only if it is idempotent, and never after a timeout of ours or once an
answer has begun.
"""

import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from contracts.http_errors import DeadlineExceeded, ServingError, TierUnavailable
from contracts.limits import BACKEND_SLACK_S, CONNECT_TIMEOUT_S
from contracts.prediction import PredictRequest, TierAnswer
from contracts.routes import Route, Target
from contracts.tasks import WRITING_TASKS, Task, Tier, Wake
from functions.router.answering.budget import RetryBudget
from functions.router.answering.turns import claimed, learnt
from functions.router.deciding.decision import Plan, decide
from functions.router.deciding.latency import tokens_of
from functions.router.deciding.rules import Case, longest_expected_ms
from functions.router.targets.backends import Backend
from functions.router.targets.drift import Drift, is_withdrawn, unwatched
from functions.router.targets.failures import LATE, TargetFailed, failed, problem
from functions.router.targets.health import Condition, States, longest_s, start_of

# Of the time that is left the tier does not get these, in which its answer travels back.
TRAVEL_MS = 50
# Nor these where it writes: a text ends by its time only between two steps, and a long prompt is one.
STEP_MS = 1_000
# A connection that the other side has closed meanwhile says so at once; later the model may have run.
CLOSED_EARLY_S = 0.5
# The time of a caller was over, which by itself says nothing of the target.
UNSAID = replace(LATE, condition=Condition.READY)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt on a target: the request as it came and as it is sent, and its time on the clock of Attempts.

    `all_of_it` says that all of the target's own time can be waited for.
    """

    target: Target
    route: Route
    request: PredictRequest
    sent: PredictRequest
    started: float
    until: float
    all_of_it: bool


class Attempts:
    """The targets' backends by tier, their states, and the budget of second attempts; `draw` returns random numbers."""

    def __init__(
        self,
        backends: Mapping[Tier, Backend],
        states: States | None = None,
        budget: RetryBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
        drift: Drift = unwatched,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.backends, self.clock, self.drift, self.draw = backends, clock, drift, draw
        self.states = states or States(clock)
        self.budget = budget or RetryBudget()

    async def plan(self, request: PredictRequest, route: Route) -> Plan:
        """Return the plan of a request, which pays its share of the second attempts."""
        self.budget.pay()
        while True:
            plan = decide(self.case(request, route))
            if await learnt(self.states, plan.primary, request):
                continue
            # Where another request was faster, the target is held back from now on, and the plan is another.
            if not plan.trial or await claimed(self.states, plan.primary):
                return plan

    async def first(
        self,
        plan: Plan,
        request: PredictRequest,
        log_fields: dict[str, Any],
        ask: Callable[[Target], Awaitable[Result]],
    ) -> tuple[Target, str, Result]:
        """Return the first target of which `ask` has a result, why it is that one, and the result."""
        target, reason = plan.primary, plan.reason
        log_fields |= {"tier": target.tier, "reason": reason}
        failures: list[TargetFailed] = []
        while True:
            try:
                return target, reason, await ask(target)
            except TargetFailed as failure:
                failures.append(failure)
                following = self._following(plan, target, request, failures)
                if following is None:
                    raise self._error(failures, plan.primary) from failure
                if following is not target:
                    reason = f"{target.tier}_{self.condition(failure, target)}"
                target = following
                log_fields |= {"tier": target.tier, "reason": reason, "attempts": len(failures) + 1}

    def case(self, request: PredictRequest, route: Route) -> Case:
        """Return the request with what is known of its targets now."""
        states = {tier: self.states.of(target) for tier, target in route.targets.items()}
        return Case(
            request=request,
            route=route,
            states=states,
            now=self.clock(),
            withdrawn=is_withdrawn(self.drift(route)),
            chance=self.draw(),
        )

    def attempt(self, target: Target, request: PredictRequest, route: Route) -> Attempt:
        """Return an attempt that begins now; raise TargetFailed where the caller's time is over."""
        now = self.clock()
        left_s = request.deadline - now
        most_s = CONNECT_TIMEOUT_S + start_of(target) + target.timeout_s + BACKEND_SLACK_S
        if left_s <= 0:
            raise TargetFailed(UNSAID, _overdue(request))
        return Attempt(
            target=target,
            route=route,
            request=request,
            sent=replace(
                request, deadline_ms=min(_tier_ms(left_s, route.task), target.timeout_s * 1000)
            ),
            started=now,
            until=now + min(left_s, most_s),
            all_of_it=left_s >= target.timeout_s,
        )

    async def waited(self, attempt: Attempt, blocks: Callable[[], Result]) -> Result:
        """Return the result of what blocks; learn the target's state from a failure, and raise TargetFailed."""
        target = attempt.target
        try:
            # botocore blocks, so it runs in a thread; one that still waits at the deadline is left to its own timeout.
            with anyio.fail_after(attempt.until - self.clock()):
                return await anyio.to_thread.run_sync(blocks, abandon_on_cancel=True)
        except TimeoutError:
            if not attempt.all_of_it:
                # A caller with little time says nothing of the target, but many may.
                expected_ms = longest_expected_ms(self.case(attempt.request, attempt.route))
                self.states.give_up(target, attempt.started, longest_s(target, expected_ms))
                raise TargetFailed(UNSAID, _overdue(attempt.request)) from None
            failure = failed(LATE, target.tier, seconds=target.timeout_s)
        except TargetFailed as error:
            failure = error
        except ServingError as error:
            failure = problem(error)
        meaning = failure.meaning
        if meaning.ran and self.clock() - attempt.started > CLOSED_EARLY_S:
            failure.meaning = replace(meaning, again=False)
        # Any call wakes a tier that sleeps, unless its stack lets none.
        wake_s = 0.0 if target.wake is Wake.NEVER else target.wake_s
        self.states.fail(target, meaning.condition, meaning.hold_s, wake_s)
        raise failure

    def answered(self, attempt: Attempt, answer: TierAnswer) -> TierAnswer:
        """Return an answer of which the target's state is learned; raise TargetFailed for one of another version."""
        target, request = attempt.target, attempt.request
        tokens = tokens_of(request.chars, len(request.inputs), attempt.route)
        self.states.answer(target, answer.elapsed_ms / tokens)
        if request.version is not None and answer.version != request.version:
            # A deployment is under way: the table and the tier are not of the same one.
            detail = f"the {target.tier} tier answers with version {answer.version} for now"
            raise problem(TierUnavailable(detail, retry_after_s=5))
        return answer

    def _following(
        self, plan: Plan, target: Target, request: PredictRequest, failures: list[TargetFailed]
    ) -> Target | None:
        """Return the target of the next attempt: the same one once more, or the other; None if there is to be none."""
        meaning = failures[-1].meaning
        again = meaning.again and len(failures) == 1
        other = plan.fallback if meaning.elsewhere and target is plan.primary else None
        if (meaning.ran and not request.idempotent) or self.clock() >= request.deadline:
            return None
        following = target if again else other
        # Of trials there is one a hold, so they need no budget.
        if following is None or plan.trial or self.budget.take():
            return following
        return None

    def condition(self, failure: TargetFailed, target: Target) -> Condition:
        """Return the condition that a failure shows, even where the breaker is not open yet."""
        if failure.meaning.condition is not Condition.ASLEEP:
            return failure.meaning.condition
        return self.states.of(target).shown(self.clock(), target.wake_s)

    def _error(self, failures: list[TargetFailed], wanted: Target) -> ServingError:
        """Return the caller's error: of the last attempt if the request is at fault, else of the target asked first."""
        first, last = failures[0], failures[-1]
        if last.error.status < 500:
            return last.error
        if first.meaning.condition is Condition.ASLEEP:
            wait_s = self.states.of(wanted).wait_s(self.clock(), wanted.wake_s)
            first.error.retry_after_s = math.ceil(wait_s) or first.error.retry_after_s
        return first.error


def _tier_ms(left_s: float, task: Task) -> int:
    """Return the milliseconds that a tier may take: what is left without the last step and the way back."""
    left_ms = left_s * 1e3
    spare_ms = STEP_MS if task in WRITING_TASKS else TRAVEL_MS
    return max(int(left_ms - min(spare_ms, left_ms / 4)), 1)


def _overdue(request: PredictRequest) -> DeadlineExceeded:
    within = f"{request.deadline_ms} ms" if request.deadline_ms else "the time of a request"
    return DeadlineExceeded(f"no tier answered within {within}")
