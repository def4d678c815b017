"""A family of models: the functions by which the pipeline prepares, runs and quantizes models of one kind."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from build.evaluation.metrics import AllOutputs
from build.evaluation.rows import Row
from build.reading.outputs import Reference
from build.recipes.recipe import Recipe
from build.sources.source import Source
from build.workspace.progress import Notify
from contracts.prediction import PredictRequest
from contracts.tasks import Tier

Rows = Sequence[Row]
# Rows to time, by their place among all rows in the order of their length.
QUANTILES = (0.1, 0.5, 0.9)
# The classes of sources that models of one family come from, and of the recipes that they are changed by.
S = TypeVar("S", bound=Source)
R = TypeVar("R", bound=Recipe)


def requests_as_given(
    source: Source, rows: Rows, reference: AllOutputs
) -> dict[int, PredictRequest]:
    """Return requests to time by their number of tokens: a short row, one in the middle and a long one."""
    tokens = [sum(output["tokens"] for output in outputs) for outputs in reference]
    ordered = sorted(range(len(rows)), key=tokens.__getitem__)
    picked = [ordered[round(q * (len(rows) - 1))] for q in QUANTILES]
    return {tokens[i]: rows[i].request for i in picked}


def nothing_to_calibrate(source: Source, prepared: Path, rows: Rows, folder: Path) -> None:
    """Raise NotImplementedError: no recipe of the family is calibrated."""
    raise NotImplementedError(f"no recipe for {source.task.name} is calibrated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family(Generic[S, R]):
    """The functions for models of one kind.

    `prepare` writes the graphs in full precision, from which every candidate is made, to a new folder. `reference`
    returns the reference's outputs for each row, given that folder; both notify of their progress. `recipes` returns
    the recipes to try on a tier; its last argument is whether the user allows less than full precision. `make` writes
    the files of one candidate, all that its engine opens, to a new folder. It is made of the graphs of `prepare`; where
    the recipe is calibrated, of what `calibrate` has written to a folder of its own, given those graphs and the rows.
    `kernels` are further recipes on a CPU tier whose user allows operators of our own.
    `requests` returns the requests that candidates are timed with, by their number of tokens; `unit` is the unit of a
    time, a row or a token.
    """

    prepare: Callable[[S, Path, Notify], None]
    reference: Callable[[S, Rows, Path, Notify], Reference]
    recipes: Callable[[S, Tier, bool], Sequence[R]]
    make: Callable[[R, S, Path, Rows, Path], None]
    calibrate: Callable[[S, Path, Rows, Path], None] = nothing_to_calibrate
    requests: Callable[[S, Rows, AllOutputs], dict[int, PredictRequest]] = requests_as_given
    kernels: Sequence[Recipe] = ()
    unit: str = "row"

    def make_alone(self, recipe: R, source: S, prepared: Path, rows: Rows, folder: Path) -> None:
        """Make one candidate from the graphs of `prepare`, calibrated for itself alone if its recipe is calibrated."""
        if not recipe.calibrated:
            self.make(recipe, source, prepared, rows, folder)
            return
        with tempfile.TemporaryDirectory(dir=folder.parent) as calibrated:
            self.calibrate(source, prepared, rows, Path(calibrated))
            self.make(recipe, source, Path(calibrated), rows, folder)
