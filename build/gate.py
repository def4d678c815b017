"""How near a candidate comes to the original, and whether that is near enough."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from build.rows import Row
from contracts.specs import Gate
from contracts.tasks import Task

Answers = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFigures:
    """A classifier against its original, on labelled rows. `agreement` is the share of equal labels."""

    accuracy_original: float
    accuracy_built: float
    agreement: float

    def failures(self, gate: Gate) -> list[str]:
        least = self.accuracy_original * gate.min_accuracy_ratio
        failures = []
        if self.accuracy_built < least:
            failures.append(
                f"accuracy {self.accuracy_built:.4f} is below {least:.4f} "
                f"(min_accuracy_ratio {gate.min_accuracy_ratio:g} of the original's {self.accuracy_original:.4f})"
            )
        if self.agreement < gate.min_agreement:
            failures.append(
                f"same label on {self.agreement:.4f}, below min_agreement {gate.min_agreement:g}"
            )
        return failures


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorFigures:
    """An encoder against its original: cosine similarity of their vectors, text by text."""

    cosine_mean: float
    cosine_p5: float
    cosine_min: float

    def failures(self, gate: Gate) -> list[str]:
        checks = (
            ("mean cosine", self.cosine_mean, "min_cosine_mean", gate.min_cosine_mean),
            ("5th percentile of the cosine", self.cosine_p5, "min_cosine_p5", gate.min_cosine_p5),
        )
        return [
            f"{what} {value:.4f} is below {key} {least:g}"
            for what, value, key, least in checks
            if value < least
        ]


Figures = LabelFigures | VectorFigures
Outputs = Sequence[dict[str, Any]]
Measure = Callable[[Outputs, Answers, Sequence[Row], tuple[str, ...]], Figures]


def _labels(
    built: Outputs, original: Answers, rows: Sequence[Row], labels: tuple[str, ...]
) -> Figures:
    right = [row.label for row in rows]
    theirs = [labels[i] for i in original.argmax(axis=1)]
    ours = [output["label"] for output in built]
    return LabelFigures(
        accuracy_original=_share(theirs, right),
        accuracy_built=_share(ours, right),
        agreement=_share(ours, theirs),
    )


def _share(one: Sequence[str], other: Sequence[str]) -> float:
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)


def _vectors(
    built: Outputs, original: Answers, rows: Sequence[Row], labels: tuple[str, ...]
) -> Figures:
    ours = np.array([output["embedding"] for output in built])
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(original, axis=1)
    cosine = (ours * original).sum(axis=1) / np.maximum(norms, 1e-12)
    return VectorFigures(
        cosine_mean=float(cosine.mean()),
        cosine_p5=float(np.percentile(cosine, 5)),
        cosine_min=float(cosine.min()),
    )


MEASURES: dict[Task, Measure] = {
    Task.TEXT_CLASSIFICATION: _labels,
    Task.FEATURE_EXTRACTION: _vectors,
}


def figures_of(figures: Figures) -> dict[str, float]:
    return {key: round(value, 6) for key, value in asdict(figures).items()}
