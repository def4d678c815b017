"""An artefact run on an emulated processor: on which rows, and on how many tokens of each.

An emulated core is about a hundred times slower than a real one, so generators are run on fewer rows, and along fewer
tokens. How many depends on the artefact and the rows alone, since it is sealed with the result.
"""

import os
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.evaluation.teacher_forcing import TEACHER_FORCED, forced_tokens_of
from build.proof.processors import Processor
from build.proof.worker_client import Worker
from build.workspace.progress import Notify, silent
from contracts.prediction import PredictRequest

# On fewer than about 180 rows, an agreement of 0.97 cannot be distinguished from the gate's 0.98. Sums that cannot
# saturate are equal on every processor, which leaves a kernel at fault to be found, in any text: fewer rows are enough,
# and none that take several times as long as most. So they are where a processor only informs.
MAX_ROWS, MAX_ROWS_EXACT, MIN_ROWS, MIN_ROWS_GENERATED = 200, 60, 50, 8
LONGEST_EXACT = 4
# Bytes of weights times tokens read: an emulated core of an EPYC of 2024 does 1.0e9 to 1.7e9 a second, so this takes
# about a minute on two cores.
MAX_BYTE_TOKENS = 1e11
# The most tokens that a generator is run along. One token read alone takes as long as four that are read together
# (SmolLM2-135M: 0.3e9 byte-tokens a second). A token has about so many characters.
MAX_FORCED_TOKENS, SINGLE_TOKEN_COST, CHARACTERS_PER_TOKEN = 32, 4, 4
# Fewer rows are not worth another process, whose start takes about five seconds under an emulator.
MIN_ROWS_PER_PROCESS = 4

T = TypeVar("T")
ForcedRequest = tuple[PredictRequest, Sequence[int] | None]


def sample(items: Sequence[T], size: int) -> list[T]:
    """Return an even sample of that size; all items if there are no more."""
    size = min(size, len(items))
    return [items[i * len(items) // size] for i in range(size)]


def places_to_run(
    size: int, rows: Sequence[Row], outputs: Sequence[Outputs], *, few: bool
) -> list[int]:
    """Return the places of the rows that an artefact of `size` bytes is run on, of which a `few` may be enough."""
    costs = [_tokens(row, truncated(output)) for row, output in zip(rows, outputs, strict=True)]
    places = list(range(len(rows)))
    if few:
        longest = LONGEST_EXACT * statistics.median(costs)
        places = [place for place in places if costs[place] <= longest]
    generated = any(forced_tokens_of(output) is not None for output in outputs)
    each = max(size * sum(costs[place] for place in places) / len(places), 1.0)
    affordable = max(int(MAX_BYTE_TOKENS / each), MIN_ROWS_GENERATED if generated else MIN_ROWS)
    return sample(places, min(affordable, MAX_ROWS_EXACT if few else MAX_ROWS))


def _tokens(row: Row, outputs: Outputs) -> float:
    """Return about how many tokens a row takes as long as."""
    read = sum(len(str(text)) for text in row.request.inputs) / CHARACTERS_PER_TOKEN
    return read + SINGLE_TOKEN_COST * len(forced_tokens_of(outputs) or ())


def truncated(outputs: Outputs) -> Outputs:
    """Return a generator's outputs truncated to the first tokens, which do not depend on later ones."""
    if forced_tokens_of(outputs) is None:
        return outputs
    return [
        {**outputs[0], **{key: list(outputs[0][key])[:MAX_FORCED_TOKENS] for key in TEACHER_FORCED}}
    ]


def run_under(
    processor: Processor,
    folder: Path,
    rows: Sequence[Row],
    outputs_here: Sequence[Outputs],
    notify: Notify = silent,
) -> list[Outputs]:
    """Return the artefact's outputs on the processor, row by row; raise BuildError if its process ends.

    `outputs_here` are those on this machine; a generator is run along their tokens.
    """
    workers = min(os.cpu_count() or 1, -(-len(rows) // MIN_ROWS_PER_PROCESS))
    requests = [
        (row.request, forced_tokens_of(outputs))
        for row, outputs in zip(rows, outputs_here, strict=True)
    ]
    parts = [requests[i::workers] for i in range(workers)]
    done = count(1)

    def notify_row() -> None:
        notify(f"{next(done)} of {len(rows)} rows under {processor.how}")

    with ThreadPoolExecutor(workers) as pool:
        outputs = list(pool.map(lambda part: _run(processor, folder, part, notify_row), parts))
    return [outputs[i % workers][i // workers] for i in range(len(rows))]


def _run(
    processor: Processor,
    folder: Path,
    requests: Sequence[ForcedRequest],
    notify_row: Callable[[], None],
) -> list[Outputs]:
    outputs: list[Any] = []
    worker = Worker(
        folder, under=processor.under, python=processor.python, environment=processor.environment
    )
    with worker:
        worker.wait_until_loaded()
        for request, forced in requests:
            outputs.append(worker.run(request, with_outputs=True, forced=forced)["outputs"])
            notify_row()
    return outputs
