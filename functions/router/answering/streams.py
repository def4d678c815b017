"""The streams of targets: what a tier writes, from the first piece on that any target of a plan has.

Until then a request is tried again, and elsewhere, as one that is answered whole; after that never, since the caller
has a part of the answer.
"""

import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from contracts.prediction import PredictRequest, TierAnswer
from contracts.routes import Route, Target
from contracts.streaming import Delta
from functions.router.answering.answers import Answer
from functions.router.answering.attempts import Attempt, Attempts
from functions.router.targets.backends import Written
from functions.router.targets.failures import TargetFailed
from functions.router.targets.health import Condition

Item = Delta | TierAnswer


class Reading:
    """A stream of a backend, which blocks and is read in threads; closed from the caller's side at any time."""

    def __init__(self, stream: Written) -> None:
        self.stream, self.lock = stream, threading.Lock()
        self.is_closed = False

    def next(self) -> Item:
        """Return the next item, of which the answer is the last; raise what the backend raises."""
        try:
            with self.lock:
                return next(self.stream)
        finally:
            if self.is_closed:
                self._end()

    def close(self) -> None:
        """End the stream with its connection, at once or when the thread that waits for an item has it."""
        self.is_closed = True
        self._end()

    def _end(self) -> None:
        if self.lock.acquire(blocking=False):
            try:
                self.stream.close()
            finally:
                self.lock.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A stream that has begun: its target, the reason why it is that one, and its items, which end with the answer.

    `stands_in` says that the target is not the one that the rules want, `degraded` that it answers for a better one.
    The items raise a ServingError where the stream fails.
    """

    target: Target
    reason: str
    stands_in: bool
    degraded: bool
    items: AsyncIterator[Item]
    reading: Reading

    def answer(self, whole: TierAnswer) -> Answer:
        """Return the answer that the stream has come to."""
        return Answer(
            target=self.target,
            answer=whole,
            reason=self.reason,
            stands_in=self.stands_in,
            degraded=self.degraded,
        )


async def begin(
    attempts: Attempts, request: PredictRequest, route: Route, log_fields: dict[str, Any]
) -> Begun:
    """Return the stream of the first target that writes something; raise a ServingError by the request's deadline.

    `log_fields` receives the tier and the reason, whatever becomes of the request.
    """

    async def first(target: Target) -> tuple[Attempt, Reading, Item]:
        attempt = attempts.attempt(target, request, route)
        sent = replace(attempt.sent, stream=True)
        reading = Reading(attempts.backends[target.tier].stream(target, sent))
        try:
            item = await attempts.waited(attempt, reading.next)
        except BaseException:
            reading.close()
            raise
        if attempts.states.of(target).condition not in (Condition.READY, Condition.FAILING):
            # A stream may take minutes, and others need not wait until it has ended: the target is there. One that
            # failed has to go through to the end.
            attempts.states.answer(target, None)
        return attempt, reading, item

    plan = await attempts.plan(request, route)
    target, reason, (attempt, reading, item) = await attempts.first(
        plan, request, log_fields, first
    )
    return Begun(
        target=target,
        reason=reason,
        stands_in=target is not plan.wanted,
        degraded=plan.degraded(target),
        items=_items(attempts, attempt, reading, item),
        reading=reading,
    )


async def _items(
    attempts: Attempts, attempt: Attempt, reading: Reading, item: Item
) -> AsyncIterator[Item]:
    """Yield the first item and all that follow it; raise the error of a target that fails, with its state learned."""
    try:
        while isinstance(item, Delta):
            yield item
            # A tier that hangs is one that writes nothing more.
            following = replace(attempt, started=attempts.clock())
            item = await attempts.waited(following, reading.next)
        yield attempts.answered(attempt, item)
    except TargetFailed as failure:
        raise failure.error from failure
