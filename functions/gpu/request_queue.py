"""The queue before the one thread that runs the model: requests that wait together are run together.

A run takes the requests that came first, as many as have `run_tokens` in all. For a caller alone it begins at once.
Where more are expected, since they are being tokenised or since the run before had as many, it waits for them up to
`wait_s`: callers that were answered together ask again one by one, and the first of them would be run alone.

A request whose caller has left, or waits no longer, is dropped before it runs.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from contracts.http_errors import DeadlineExceeded, ServingError, TierUnavailable
from contracts.prediction import PredictRequest, TierAnswer
from contracts.streaming import Delta
from functions.gpu.metrics import Run
from functions.inference.engine import Engine, Prediction
from functions.inference.token_batches import BATCH_TOKENS

log = logging.getLogger("turnout.gpu")

# Requests that may wait for the one that runs; the caller of any more would time out before its turn.
MAX_WAITING = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """The limits of a run: the tokens of its requests, and the seconds that it waits for more of them.

    With no tokens, each request is run alone.
    """

    run_tokens: int = BATCH_TOKENS
    wait_s: float = 0.005


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sink:
    """The deltas of a request, each put there by the event loop; `closed` is set when nobody takes them any more."""

    deltas: asyncio.Queue[Delta | None]
    closed: threading.Event


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Waiting:
    """A request in the queue: `left` tells whether its caller has gone, `answer` is what it waits for.

    One that asks for a stream has a sink.
    """

    prediction: Prediction
    left: Callable[[], Awaitable[bool]]
    answer: asyncio.Future[TierAnswer]
    since: float
    sink: Sink | None = None

    async def dropped(self) -> bool:
        """Return whether nobody waits for the answer any more."""
        if self.sink and self.sink.closed.is_set():
            return True
        return time.monotonic() > self.prediction.request.deadline or await self.left()

    def settle(self, outcome: TierAnswer | Exception) -> None:
        """Give the answer or the error to the caller, if it has none yet."""
        if self.answer.done():
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class RequestQueue:
    """The requests of one engine. `worker` is its one thread; `record` is told of each run."""

    def __init__(self, worker: Executor, batching: Batching, record: Callable[[Run], None]) -> None:
        self.worker, self.batching, self.record = worker, batching, record
        self.queue: deque[Waiting] = deque()
        self.arrived = asyncio.Event()
        # Requests that have no answer yet, those of them that are being tokenised, and those of the last run.
        self.inside, self.reading, self.last = 0, 0, 0

    @property
    def waiting(self) -> int:
        """Return how many requests wait for the run that goes on, or for the next one."""
        return len(self.queue)

    async def stream(
        self, engine: Engine, request: PredictRequest, left: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[Delta | TierAnswer, None]:
        """Yield the deltas of a request once it is its turn, and last the answer; raise as `predict` does.

        To close it takes the request out of the queue, or ends its run after the next token.
        """
        sink = Sink(deltas=asyncio.Queue(), closed=threading.Event())
        answer = asyncio.create_task(self.predict(engine, request, left, sink))
        # The deltas were put there before the answer is known.
        answer.add_done_callback(lambda _: sink.deltas.put_nowait(None))
        try:
            while (delta := await sink.deltas.get()) is not None:
                yield delta
            yield await answer
        finally:
            sink.closed.set()
            answer.cancel()

    async def predict(
        self,
        engine: Engine,
        request: PredictRequest,
        left: Callable[[], Awaitable[bool]],
        sink: Sink | None = None,
    ) -> TierAnswer:
        """Return the answer once it is the request's turn; raise ServingError.

        Raise TierUnavailable if too many wait already, and DeadlineExceeded if nobody waits for the answer.
        """
        since = time.monotonic()
        # The event loop alone counts, so no lock is needed.
        if self.inside >= MAX_WAITING:
            raise TierUnavailable(f"{MAX_WAITING} requests are waiting already", retry_after_s=1)
        self.inside += 1
        try:
            prediction = await self._prepared(engine, request)
            answer: asyncio.Future[TierAnswer] = asyncio.get_running_loop().create_future()
            self.queue.append(
                Waiting(prediction=prediction, left=left, answer=answer, since=since, sink=sink)
            )
            self.arrived.set()
            return await answer
        finally:
            self.inside -= 1

    async def _prepared(self, engine: Engine, request: PredictRequest) -> Prediction:
        """Check and tokenise a request beside the run; what cannot be answered never gets into the queue."""
        self.reading += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(None, engine.prepare, request)
        finally:
            self.reading -= 1
            self.arrived.set()

    async def serve(self, engine: Engine) -> None:
        """Run the requests of the queue, until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wait()
            queued = self.waiting
            picked, dropped = await self._pick()
            if not picked:
                continue
            self.last = len(picked)
            begun = time.monotonic()
            await loop.run_in_executor(self.worker, _run, engine, picked, loop)
            # Each answer was given to the loop before the thread ended, so what has none now will have none.
            for each in picked:
                each.settle(ServingError("the container failed; its log says why"))
            self.record(
                Run(
                    queued=queued,
                    requests=len(picked),
                    dropped=dropped,
                    tokens=sum(each.prediction.tokens for each in picked),
                    waits_ms=tuple((begun - each.since) * 1e3 for each in picked),
                    run_ms=(time.monotonic() - begun) * 1e3,
                )
            )

    async def _wait(self) -> None:
        """Return when there is a request, and no more are expected or may be waited for."""
        while not self.queue:
            await self._next()
        until = time.monotonic() + self.batching.wait_s
        while self._more_expected() and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._next(), left)

    async def _next(self) -> None:
        self.arrived.clear()
        await self.arrived.wait()

    def _more_expected(self) -> bool:
        tokens = sum(each.prediction.tokens for each in self.queue)
        expected = self.reading > 0 or self.waiting < self.last
        return expected and tokens < self.batching.run_tokens

    async def _pick(self) -> tuple[list[Waiting], int]:
        """Return the requests of the next run, and how many were dropped."""
        picked: list[Waiting] = []
        tokens, dropped = 0.0, 0
        while self.queue:
            tokens += self.queue[0].prediction.tokens
            if picked and tokens > self.batching.run_tokens:
                break
            first = self.queue.popleft()
            if await first.dropped():
                first.settle(DeadlineExceeded("nobody waits for this request any more"))
                dropped += 1
            else:
                picked.append(first)
            tokens = sum(each.prediction.tokens for each in picked)
        return picked, dropped


def _run(engine: Engine, picked: Sequence[Waiting], loop: asyncio.AbstractEventLoop) -> None:
    """Run the requests in the worker's thread; each gets its answer as soon as it is there."""
    try:
        # One that is streamed is of a model that writes, which runs each request alone.
        if picked[0].sink:
            return _write(engine, picked[0], picked[0].sink, loop)
        for place, outcome in engine.predict_together([each.prediction for each in picked]):
            loop.call_soon_threadsafe(picked[place].settle, outcome)
    except Exception:
        log.exception("a run failed")


def _write(engine: Engine, one: Waiting, sink: Sink, loop: asyncio.AbstractEventLoop) -> None:
    """Run a request that is streamed in the worker's thread, until it ends or nobody takes its deltas any more."""
    try:
        with contextlib.closing(engine.written(one.prediction)) as items:
            for item in items:
                if isinstance(item, TierAnswer):
                    loop.call_soon_threadsafe(one.settle, item)
                elif sink.closed.is_set():
                    return
                else:
                    loop.call_soon_threadsafe(sink.deltas.put_nowait, item)
    except Exception as error:
        loop.call_soon_threadsafe(one.settle, error)
