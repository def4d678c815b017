"""The figures that compare a candidate with the reference, for each kind of task.

Each class of figures checks itself against the gate in its `problems`; `build/stages/candidates.py` calls that for each
candidate, and `gate.py` has the message of a failed gate.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from build.evaluation.agreement import AnswerComparison, AnswerFigures
from build.evaluation.informative import MIN_ROWS
from build.evaluation.metrics import AllOutputs, Outputs
from build.evaluation.perplexity import GenerationFigures, ScoreFigures
from build.evaluation.regression import NumberFigures
from build.evaluation.rows import Row
from build.evaluation.vectors.embedding_similarity import VectorFigures

Figures = AnswerFigures | VectorFigures | ScoreFigures | GenerationFigures | NumberFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberComparison:
    """The comparison of a task whose outputs are numbers, which are near or far: a cosine, a perplexity.

    `measure` takes the outputs of the candidate and of the reference. `same_elsewhere` returns whether the outputs of
    one row are the same, given that all but their floats are equal, where other instructions have computed them; None
    where floats have to be as near as on the machine that built them. `uninformative_outputs` returns why those of the
    reference tell nothing; it is asked if the rows are not few.
    """

    measure: Callable[[AllOutputs, AllOutputs, Sequence[Row]], Figures]
    uninformative_outputs: Callable[[AllOutputs, Sequence[Row]], list[str]]
    same_elsewhere: Callable[[Outputs, Outputs], bool] | None = None

    def uninformative(self, reference: AllOutputs, rows: Sequence[Row]) -> list[str]:
        """Return why the reference's outputs on the rows tell nothing; empty if they do, or if the rows are few."""
        return self.uninformative_outputs(reference, rows) if len(rows) >= MIN_ROWS else []


Comparison = AnswerComparison | NumberComparison


def figures_of(figures: Figures) -> dict[str, Any]:
    """Return the figures as evidence holds them, rounded to 6 digits."""
    return {
        key: round(value, 6) if isinstance(value, float) else value
        for key, value in asdict(figures).items()
    }
