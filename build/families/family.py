"""What the pipeline has to know of a kind of models: how its graphs are made and changed, what the original answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.recipes.recipe import Recipe
from build.sources.source import Source
from build.workspace.progress import Notify
from contracts.prediction import PredictRequest
from contracts.tasks import Tier

Rows = Sequence[Row]
Answered = Sequence[Outputs]
QUANTILES = (0.1, 0.5, 0.9)
# The classes of sources that models of one family come from, and of the recipes that they are changed by.
S = TypeVar("S", bound=Source)
R = TypeVar("R", bound=Recipe)


def requests_as_given(source: Source, rows: Rows, original: Answered) -> dict[int, PredictRequest]:
    """Requests to time, by their number of tokens: a short row, one in the middle and a long one."""
    tokens = [sum(output["tokens"] for output in outputs) for outputs in original]
    ordered = sorted(range(len(rows)), key=tokens.__getitem__)
    picked = [ordered[round(q * (len(rows) - 1))] for q in QUANTILES]
    return {tokens[i]: rows[i].request for i in picked}


@dataclass(frozen=True, slots=True, kw_only=True)
class Family(Generic[S, R]):
    """Models of one kind.

    `prepare` writes what every candidate is made from to a new folder, in full precision, and tells what it is at.
    `original` is what the original answers to each row, given that folder; it tells as well. `recipes` are what is
    tried on a tier; whether the user wants less than full precision is the last argument. `make` writes the files of
    one candidate to a new folder: all that its engine opens. `requests` are what candidates are timed with, by their
    number of tokens; `unit` is what a time is the time of.
    """

    prepare: Callable[[S, Path, Notify], None]
    original: Callable[[S, Rows, Path, Notify], Sequence[Outputs]]
    recipes: Callable[[S, Tier, bool], Sequence[R]]
    make: Callable[[R, S, Path, Rows, Path], None]
    requests: Callable[[S, Rows, Answered], dict[int, PredictRequest]] = requests_as_given
    unit: str = "row"
