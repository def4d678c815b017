"""Public sets of labelled texts, each in three parts that share no text: for training, for the gate, to be routed."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.public_sets import banking77, clinc150, sst2_evaluation, sst2_training
from examples.rows import Row

SEED = 7
GATE_ROWS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSet:
    """A public set: its rows, and how many of those for training are used, for how many epochs."""

    title: str
    training: Callable[[Path], list[Row]]
    evaluation: Callable[[Path], list[Row]]
    rows: int
    epochs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The rows of a set: `training` and `gate` come from its training rows, `routed` are its own evaluation rows."""

    training: Sequence[Row]
    gate: Sequence[Row]
    routed: Sequence[Row]


SETS = {
    "sst2": TextSet(
        title="SST-2", training=sst2_training, evaluation=sst2_evaluation, rows=6_000, epochs=2
    ),
    "banking77": TextSet(
        title="Banking77",
        training=lambda data: banking77(data, "train"),
        evaluation=lambda data: banking77(data, "test"),
        rows=9_000,
        epochs=3,
    ),
    "clinc150": TextSet(
        title="CLINC150",
        training=lambda data: clinc150(data, "train"),
        evaluation=lambda data: clinc150(data, "test"),
        rows=4_500,
        epochs=4,
    ),
}


def parts(text_set: TextSet, data: Path) -> Parts:
    """Return the parts of a set, each text once; what is routed is in none of the others."""
    routed = list({row.text: row for row in text_set.evaluation(data)}.values())
    taken = {row.text for row in routed}
    others = {row.text: row for row in text_set.training(data) if row.text not in taken}
    rows = list(others.values())
    random.Random(SEED).shuffle(rows)
    return Parts(
        training=rows[GATE_ROWS : GATE_ROWS + text_set.rows], gate=rows[:GATE_ROWS], routed=routed
    )
