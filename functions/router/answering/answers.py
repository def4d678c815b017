"""The answers to requests: of a plan's first target that has one, with what is escalated of it, and what is sampled."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from contracts.cascade.sampling import Sample
from contracts.http_errors import TierUnavailable
from contracts.prediction import PredictRequest, TierAnswer
from contracts.routes import Route, Target
from contracts.tasks import Tier
from functions.router.answering.attempts import Attempts
from functions.router.answering.budget import RetryBudget
from functions.router.answering.sampling import Sampling
from functions.router.answering.turns import claimed, learnt
from functions.router.deciding.decision import Plan
from functions.router.deciding.escalation import (
    ESCALATED,
    UNANSWERED,
    Escalation,
    are_whole,
    escalation,
    merged,
)
from functions.router.deciding.rules import Case
from functions.router.deciding.sampling import sample_of
from functions.router.targets.backends import Backend
from functions.router.targets.drift import Drift, unwatched
from functions.router.targets.failures import TargetFailed
from functions.router.targets.health import Condition, States

# Of the time that is left an escalation does not get this, in which the answers that there are go out.
KEPT_S = 0.1


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
    """The attempts on the targets, and the sampling of answers."""

    def __init__(
        self,
        backends: Mapping[Tier, Backend],
        states: States | None = None,
        budget: RetryBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
        sampling: Sampling | None = None,
        drift: Drift = unwatched,
    ) -> None:
        self.sampling, self.clock = sampling or Sampling(), clock
        self.attempts = Attempts(backends, states, budget, clock, drift, self.sampling.draw)

    def case(self, request: PredictRequest, route: Route) -> Case:
        """Return the request with what is known of its targets now."""
        return self.attempts.case(request, route)

    async def answer(
        self, request: PredictRequest, route: Route, log_fields: dict[str, Any]
    ) -> Answer:
        """Return the answer of the first target that has one; raise a ServingError by the deadline of the request.

        `log_fields` receives the tier and the reason, whatever becomes of the request.
        """
        plan = await self.attempts.plan(request, route)
        whole = partial(self._whole, request=request, route=route)
        target, reason, answer = await self.attempts.first(plan, request, log_fields, whole)
        # Before the texts of another tier take the place of some.
        log_texts(answer.outputs, log_fields)
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
        if found and await learnt(self.attempts.states, found.target, request):
            case = self.case(request, route)
            found = escalation(case, plan, given.target, given.answer.outputs)
        if found is None:
            return given
        log_fields["escalated"] = len(found.places)
        held = found.held
        if held is None and not await claimed(self.attempts.states, found.target):
            held = self.attempts.states.of(found.target).shown(self.clock(), found.target.wake_s)
        if held is None:
            # What the CPU tier has answered is sent in any case.
            sent = replace(found.request, deadline=request.deadline - KEPT_S)
            try:
                second = await self._whole(found.target, sent, route)
            except TargetFailed as failure:
                held = self.attempts.condition(failure, found.target)
            else:
                if not are_whole(second.outputs):
                    return self._without_gpu(given, request, found, Condition.READY, log_fields)
                outputs = merged(given.answer.outputs, found.places, second.outputs)
                log_fields["reason"] = ESCALATED
                return replace(
                    given,
                    answer=replace(given.answer, outputs=outputs),
                    reason=ESCALATED,
                    escalated=found.places,
                    second=second,
                )
        return self._without_gpu(given, request, found, held, log_fields)

    def _without_gpu(
        self,
        given: Answer,
        request: PredictRequest,
        found: Escalation,
        held: Condition,
        log_fields: dict[str, Any],
    ) -> Answer:
        """Return the degraded answer of the CPU tier; raise TierUnavailable if the request forbids it."""
        if not request.allow_degraded:
            wait_s = self.attempts.states.of(found.target).wait_s(self.clock(), found.target.wake_s)
            detail = f"the answers to {len(found.places)} inputs are uncertain, and the gpu tier is {held}"
            raise TierUnavailable(detail, retry_after_s=math.ceil(wait_s))
        reason = UNANSWERED if held is Condition.READY else f"{found.target.tier}_{held}"
        log_fields["reason"] = reason
        return replace(given, reason=reason, stands_in=True, degraded=True)

    def _sample(
        self, given: Answer, plan: Plan, request: PredictRequest, route: Route
    ) -> Sample | None:
        if not self.sampling.function:
            return None
        case = self.case(request, route)
        return sample_of(case, plan, given.target, given.answer, self.sampling.draw)

    async def _whole(self, target: Target, request: PredictRequest, route: Route) -> TierAnswer:
        """Return the whole answer of a target, and learn its state from that; raise TargetFailed."""
        attempt = self.attempts.attempt(target, request, route)
        predict = self.attempts.backends[target.tier].predict
        answer = await self.attempts.waited(attempt, lambda: predict(target, attempt.sent))
        return self.attempts.answered(attempt, answer)


def log_texts(outputs: Sequence[Mapping[str, Any]], log_fields: dict[str, Any]) -> None:
    """Log how many tokens a tier has written, and how sure it is of its texts on average, where it says so.

    Both tell that texts have changed, without a second answer.
    """
    if not all("generated_tokens" in output for output in outputs):
        return
    log_fields["tokens"] = sum(output["generated_tokens"] for output in outputs)
    told = [output["confidence"] for output in outputs if "confidence" in output]
    if told:
        log_fields["confidence"] = round(sum(told) / len(told), 4)
