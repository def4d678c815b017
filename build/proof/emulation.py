"""Asking an artefact on another processor: which rows, how much of each, and how far it has come.

An emulated core gets through a hundredth of what a real one does, so models that write are asked fewer rows, and
led along fewer tokens. How many depends on the artefact and the rows alone: it is sealed with what was seen.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.evaluation.teacher_forcing import TEACHER_FORCED, path_of
from build.proof.processors import Processor
from build.proof.worker_client import Worker
from build.workspace.progress import Notify, silent
from contracts.prediction import PredictRequest

# Of fewer rows than some 180, a share of 0.97 could not be told from the gate's 0.98; what only informs needs less.
MOST, MOST_INFORMED, FEWEST, FEWEST_WRITTEN = 200, 60, 50, 8
# Bytes of weights times tokens read: a core of an EPYC of 2024 emulates 1.0e9 to 1.7e9 of them in a second, so this is
# about a minute on two.
BUDGET = 1e11
# Tokens that a model that writes is led along, at most. One read alone takes as long as four that are read together
# (SmolLM2-135M there: 0.3e9). So many characters make about one token.
STEPS, ALONE, CHARACTERS = 32, 4, 4
# Rows that make a second process worth its start, which takes an emulator some five seconds.
MIN_ROWS_PER_PROCESS = 4

T = TypeVar("T")
Asked = tuple[PredictRequest, Sequence[int] | None]


def sample(items: Sequence[T], size: int) -> list[T]:
    """An even sample of as many; all where there are no more."""
    size = min(size, len(items))
    return [items[i * len(items) // size] for i in range(size)]


def sample_size(
    processor: Processor, size: int, rows: Sequence[Row], outputs: Sequence[Outputs]
) -> int:
    """How many rows an artefact of that many bytes is asked."""
    led = [path_of(truncated(output)) for output in outputs]
    tokens = [
        sum(len(str(text)) for text in row.request.inputs) / CHARACTERS + ALONE * len(path or ())
        for row, path in zip(rows, led, strict=True)
    ]
    fewest = FEWEST_WRITTEN if any(path is not None for path in led) else FEWEST
    each = max(size * sum(tokens) / len(tokens), 1.0)
    return min(max(int(BUDGET / each), fewest), MOST if processor.decides else MOST_INFORMED)


def truncated(outputs: Outputs) -> Outputs:
    """What a model was led along, cut to its first steps: what comes later changes nothing of them."""
    if path_of(outputs) is None:
        return outputs
    return [{**outputs[0], **{key: list(outputs[0][key])[:STEPS] for key in TEACHER_FORCED}}]


def run_under(
    processor: Processor,
    folder: Path,
    rows: Sequence[Row],
    answered: Sequence[Outputs],
    notify: Notify = silent,
) -> list[Outputs]:
    """The artefact's outputs there, row by row; raises BuildError where its process ends.

    `answered` is what it has answered here, whose tokens a model that writes is led along.
    """
    workers = min(os.cpu_count() or 1, -(-len(rows) // MIN_ROWS_PER_PROCESS))
    asked = [(row.request, path_of(outputs)) for row, outputs in zip(rows, answered, strict=True)]
    parts = [asked[i::workers] for i in range(workers)]
    done = count(1)

    def step() -> None:
        notify(f"{next(done)} of {len(rows)} rows under {processor.how}")

    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(lambda part: _run(processor, folder, part, step), parts))
    return [found[i % workers][i // workers] for i in range(len(rows))]


def _run(
    processor: Processor, folder: Path, asked: Sequence[Asked], step: Callable[[], None]
) -> list[Outputs]:
    answers: list[Any] = []
    worker = Worker(
        folder,
        under=processor.under,
        python=processor.python,
        environment=processor.environment,
    )
    with worker:
        worker.ready()
        for request, along in asked:
            answers.append(worker.ask(request, answer=True, along=along)["outputs"])
            step()
    return answers
