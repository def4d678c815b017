"""An artefact run on the rows on this machine, by the code that will serve it.

`build/proof/emulation.py` runs it on other processors, `build/proof/timing.py` times it.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.evaluation.teacher_forcing import answer, forced_tokens_of
from build.workspace.progress import Notify, counted, silent
from contracts.prediction import TierAnswer
from functions.inference.engine import Engine


def run_on_rows(
    folder: Path, rows: Sequence[Row], reference: Sequence[Outputs], notify: Notify = silent
) -> list[Outputs]:
    """Return the artefact's outputs, row by row."""
    return run_engine(engine_for(folder, rows), rows, reference, notify)


def engine_for(folder: Path, rows: Sequence[Row]) -> Engine:
    """Return the artefact's engine, which takes as many inputs as the largest row has."""
    return Engine.load(folder, max_inputs=max(len(row.request.inputs) for row in rows))


def run_engine(
    engine: Engine, rows: Sequence[Row], reference: Sequence[Outputs], notify: Notify
) -> list[Outputs]:
    """Return the engine's outputs, row by row; as many rows run at once as there are processors, each on one thread.

    A generator is run along the tokens of the reference (teacher forcing).
    """
    # ONNX Runtime releases the interpreter's lock while it runs a graph, so threads are enough.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outputs = pool.map(
            lambda row, expected: answer(engine, row.request, forced_tokens_of(expected)),
            rows,
            reference,
        )
        return [next(outputs) for _ in counted(rows, notify)]


def run_together(folder: Path, rows: Sequence[Row]) -> list[Outputs]:
    """Return an encoder's outputs of the rows, whose texts run in common batches; raise the first row's error."""
    engine = engine_for(folder, rows)
    outcomes = dict(engine.predict_together([engine.prepare(row.request) for row in rows]))
    return [_outputs(outcomes[place]) for place in range(len(rows))]


def _outputs(outcome: TierAnswer | Exception) -> Outputs:
    if isinstance(outcome, Exception):
        raise outcome
    return list(outcome.outputs)
