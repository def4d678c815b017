"""A batch from its first row to its last: some requests at once, their answers written in the order of the rows."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from turnout.batch.answers_file import opened
from turnout.batch.rows import RowsFile, chunks
from turnout.batch.sending import Answer, Patience, Sender
from turnout.client import Endpoint

# Requests beyond those that run, whose answers may be there before the ones in front of them.
AHEAD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The rows for a model, how many of them in a request, how many requests at once.

    `options` are those of a request, and `patience_s` how long nothing may be answered.
    """

    endpoint: Endpoint
    model: str
    rows: RowsFile
    out: Path
    options: Mapping[str, Any]
    size: int = 8
    concurrency: int = 4
    patience_s: float = 1800.0

    @property
    def asked(self) -> dict[str, Any]:
        """Return what the answers depend on: a part of them goes with the same alone."""
        return {"rows": self.rows.digest, "model": self.model, "options": dict(self.options)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The listeners of a batch: to its beginning, behind so many rows, to each answer, and to what is waited for."""

    begun: Callable[[int], None]
    answered: Callable[[Answer], None]
    say: Callable[[str], None]


def run(batch: Batch, told: Told) -> Mapping[str, int]:
    """Have every row answered, and return the rows by tier or code of error; raise BatchError.

    What was answered in an earlier run is kept. Whatever ends it, the lines that were written stay.
    """
    with opened(batch.out, batch.asked) as file:
        told.begun(file.lines)
        for answer in _answers(batch, file.lines, told.say):
            file.write(answer)
            told.answered(answer)
        file.finish()
        return file.counts


def _answers(batch: Batch, done: int, say: Callable[[str], None]) -> Iterator[Answer]:
    """Yield the answers in the order of the rows."""
    sender = Sender(
        endpoint=batch.endpoint,
        path=f"/v1/models/{quote(batch.model, safe='')}/predict",
        options=batch.options,
        patience=Patience(most_s=batch.patience_s),
        say=say,
    )
    waiting: deque[Future[list[Answer]]] = deque()
    pool = ThreadPoolExecutor(batch.concurrency)
    try:
        for chunk in chunks(batch.rows.rows(done), batch.size):
            if len(waiting) == batch.concurrency + AHEAD:
                yield from waiting.popleft().result()
            waiting.append(pool.submit(sender.answers, chunk))
        while waiting:
            yield from waiting.popleft().result()
    finally:
        sender.patience.stop.set()
        pool.shutdown(cancel_futures=True)
        sender.close()
