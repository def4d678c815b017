"""The attempts on the targets of a plan: each within the deadline, a further one only where that is safe.

A request whose model may have run is sent again only if it is idempotent, and never after a timeout of ours or once an
answer has begun.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import anyio
import anyio.to_thread

from contracts.cascade.sampling import Sample
from contracts.http_errors import DeadlineExceeded, ServingError, TierUnavailable
from contracts.limits import BACKEND_SLACK_S, CONNECT_TIMEOUT_S
from contracts.prediction import PredictRequest, TierAnswer
from contracts.routes import Route, Target
from contracts.tasks import Tier, Wake
from functions.router.answering.budget import RetryBudget
from functions.router.answering.sampling import Sampling
from functions.router.answering.turns import claimed, learnt
from functions.router.deciding.decision import Plan, decide
from functions.router.deciding.escalation import ESCALATED, UNANSWERED, escalation, merged
from functions.router.deciding.latency import tokens_of
from functions.router.deciding.rules import Case
from functions.router.deciding.sampling import sample_of
from functions.router.targets.backends import Backend
from functions.router.targets.drift import Drift, is_withdrawn, unwatched
from functions.router.targets.failures import LATE, TargetFailed, failed, problem
from functions.router.targets.health import Condition, States, longest_s

# Of the time that is left the tier does not get these, in which its answer travels back.
TRAVEL_MS = 50
# A connection that the other side has closed meanwhile says so at once; later the model may have run.
CLOSED_EARLY_S = 0.5
# Of the time that is left an escalation does not get this, in which the answers that there are go out.
KEPT_S = 0.1
# The time of a caller was over, which by itself says nothing of the target.
UNSAID = replace(LATE, condition=Condition.READY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of a target, and the reason why it is that one.

    `stands_in` says that it is not the one that the rules want, `degraded` that it answers for a better one.
    Those to the inputs at the places `escalated` are of the GPU tier, whose own version and time are `second`.
    """

    target: Target
    answer: TierAnswer
    reason: str
    stands_in: bool
    degraded: bool
    escalated: tuple[int, ...] = ()
    second: TierAnswer | None = None


class Answering:
    """The targets' backends by tier, their states, and the budget of second attempts."""

    def __init__(
        self,
        backends: Mapping[Tier, Backend],
        states: States | None = None,
        budget: RetryBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
        sampling: Sampling | None = None,
        drift: Drift = unwatched,
    ) -> None:
        self.backends, self.clock = backends, clock
        self.sampling, self.drift = sampling or Sampling(), drift
        self.states = states or States(clock)
        self.budget = budget or RetryBudget()

    async def answer(
        self, request: PredictRequest, route: Route, log_fields: dict[str, Any]
    ) -> Answer:
        """Return the answer of the first target that has one; raise a ServingError by the deadline of the request.

        `log_fields` receives the tier and the reason, whatever becomes of the request.
        """
        self.budget.pay()
        plan = await self._plan(request, route)
        target, reason = plan.primary, plan.reason
        log_fields |= {"tier": target.tier, "reason": reason}
        failures: list[TargetFailed] = []
        while True:
            try:
                answer = await self._try(target, request, route)
                given = Answer(
                    target=target,
                    answer=answer,
                    reason=reason,
                    stands_in=target is not plan.wanted,
                    degraded=plan.degraded(target),
                )
                sample = self._sample(given, plan, request, route)
                async with self.sampling.beside(sample, log_fields):
                    return await self._with_escalated(given, plan, request, route, log_fields)
            except TargetFailed as failure:
                failures.append(failure)
                following = self._following(plan, target, request, failures)
                if following is None:
                    raise self._error(failures, plan.primary) from failure
                if following is not target:
                    reason = f"{target.tier}_{self._condition(failure, target)}"
                target = following
                log_fields |= {"tier": target.tier, "reason": reason, "attempts": len(failures) + 1}

    async def _with_escalated(
        self,
        given: Answer,
        plan: Plan,
        request: PredictRequest,
        route: Route,
        log_fields: dict[str, Any],
    ) -> Answer:
        """Return the answer with the uncertain inputs answered by the GPU tier, or degraded where that does not answer.

        Raise TierUnavailable then if the request forbids it.
        """
        case = self.case(request, route)
        found = escalation(case, plan, given.target, given.answer.outputs)
        if found and await learnt(self.states, found.target, request):
            case = self.case(request, route)
            found = escalation(case, plan, given.target, given.answer.outputs)
        if found is None:
            return given
        log_fields["escalated"] = len(found.places)
        held = found.held
        if held is None and not await claimed(self.states, found.target):
            held = self.states.of(found.target).shown(self.clock(), found.target.wake_s)
        if held is None:
            # What the CPU tier has answered is sent in any case.
            sent = replace(found.request, deadline=request.deadline - KEPT_S)
            try:
                second = await self._try(found.target, sent, route)
            except TargetFailed as failure:
                held = self._condition(failure, found.target)
            else:
                outputs = merged(given.answer.outputs, found.places, second.outputs)
                log_fields["reason"] = ESCALATED
                return replace(
                    given,
                    answer=replace(given.answer, outputs=outputs),
                    reason=ESCALATED,
                    escalated=found.places,
                    second=second,
                )
        if not request.allow_degraded:
            wait_s = self.states.of(found.target).wait_s(self.clock(), found.target.wake_s)
            detail = f"the answers to {len(found.places)} inputs are uncertain, and the gpu tier is {held}"
            raise TierUnavailable(detail, retry_after_s=math.ceil(wait_s))
        reason = UNANSWERED if held is Condition.READY else f"{found.target.tier}_{held}"
        log_fields["reason"] = reason
        return replace(given, reason=reason, stands_in=True, degraded=True)

    async def _plan(self, request: PredictRequest, route: Route) -> Plan:
        while True:
            plan = decide(self.case(request, route))
            if await learnt(self.states, plan.primary, request):
                continue
            # Where another request was faster, the target is held back from now on, and the plan is another.
            if not plan.trial or await claimed(self.states, plan.primary):
                return plan

    def case(self, request: PredictRequest, route: Route) -> Case:
        """Return the request with what is known of its targets now."""
        states = {tier: self.states.of(target) for tier, target in route.targets.items()}
        return Case(
            request=request,
            route=route,
            states=states,
            now=self.clock(),
            withdrawn=is_withdrawn(self.drift(route)),
            chance=self.sampling.draw(),
        )

    def _sample(
        self, given: Answer, plan: Plan, request: PredictRequest, route: Route
    ) -> Sample | None:
        if not self.sampling.function:
            return None
        case = self.case(request, route)
        return sample_of(case, plan, given.target, given.answer, self.sampling.draw)

    async def _try(self, target: Target, request: PredictRequest, route: Route) -> TierAnswer:
        """Return the answer of a target, and learn its state from that; raise TargetFailed."""
        left_s = request.deadline - self.clock()
        most_s = CONNECT_TIMEOUT_S + target.timeout_s + BACKEND_SLACK_S
        if left_s <= 0:
            raise TargetFailed(UNSAID, _overdue(request))
        sent = replace(request, deadline_ms=min(_tier_ms(left_s), target.timeout_s * 1000))
        started = self.clock()
        try:
            # botocore blocks, so it runs in a thread; one that still waits at the deadline is left to its own timeout.
            with anyio.fail_after(min(left_s, most_s)):
                answer = await anyio.to_thread.run_sync(
                    self.backends[target.tier].predict, target, sent, abandon_on_cancel=True
                )
        except TimeoutError:
            if left_s < target.timeout_s:
                # A caller with little time says nothing of the target, but many may.
                expected_ms = self.case(request, route).expected_ms(target)
                self.states.give_up(target, started, longest_s(target, expected_ms))
                raise TargetFailed(UNSAID, _overdue(request)) from None
            failure = failed(LATE, target.tier, seconds=target.timeout_s)
        except TargetFailed as error:
            failure = error
        except ServingError as error:
            failure = problem(error)
        else:
            return self._answered(target, request, route, answer)
        meaning = failure.meaning
        if meaning.ran and self.clock() - started > CLOSED_EARLY_S:
            failure.meaning = replace(meaning, again=False)
        # Any call wakes a tier that sleeps, unless its stack lets none.
        wake_s = 0.0 if target.wake is Wake.NEVER else target.wake_s
        self.states.fail(target, meaning.condition, meaning.hold_s, wake_s)
        raise failure

    def _answered(
        self, target: Target, request: PredictRequest, route: Route, answer: TierAnswer
    ) -> TierAnswer:
        tokens = tokens_of(request.chars, len(request.inputs), route)
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

    def _condition(self, failure: TargetFailed, target: Target) -> Condition:
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


def _tier_ms(left_s: float) -> int:
    """Return the milliseconds that a tier may take: what is left without the way back."""
    left_ms = left_s * 1e3
    return max(int(left_ms - min(TRAVEL_MS, left_ms / 4)), 1)


def _overdue(request: PredictRequest) -> DeadlineExceeded:
    within = f"{request.deadline_ms} ms" if request.deadline_ms else "the time of a request"
    return DeadlineExceeded(f"no tier answered within {within}")
