"""The replay of golden rows: an artefact run on them again, and compared with its outputs when it was built."""

import importlib.metadata
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from build.evaluation.agreement import AnswerComparison
from build.evaluation.comparison import Comparison, figures_of
from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.proof.golden import GoldenRow, golden_places, read_golden, rounded
from build.proof.native_run import run_on_rows, run_together
from build.proof.processors import processor_name
from build.tasks.registry import TASKS
from contracts.http_errors import ServingError
from contracts.manifest import BrokenArtefact, kernels_in, verify
from contracts.tasks import Runtime

# Two floats within this difference are the same answer, if they were computed by the same instructions.
MAX_DIFFERENCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The result for one artefact; `broken` is the problem if it could not be run at all.

    `same` of `rows` are answered as when it was built, `apart` is the largest difference of a float, and `differing`
    are the other rows. On another processor, or with another version of its `runtime`, rounding changes floats of a
    quantized model more than on the same: there, answers are compared by the metric, and vectors by the gate's default
    cosine. `now` and `then` are the gate's figures against the reference, today and when it was built.
    """

    name: str
    version: str = ""
    broken: str = ""
    rows: int = 0
    same: int = 0
    apart: float = 0.0
    now: dict[str, Any] | None = None
    then: dict[str, Any] | None = None
    differing: tuple[dict[str, Any], ...] = ()
    built_on: str = ""
    built_with: str = ""
    ran_on: str = ""
    ran_with: str = ""
    runtime: str = Runtime.ONNX_RUNTIME

    @property
    def holds(self) -> bool:
        return not self.broken and self.same == self.rows

    @property
    def other_platform(self) -> bool:
        """Return whether it was built on another processor, or with another version of its runtime, than it ran on."""
        return (self.built_on, self.built_with) != (self.ran_on, self.ran_with)


def check_pushed(name: str, folder: Path) -> Replay | None:
    """Check every byte of an artefact whose weights lie in S3, and can be run there alone; None for another one."""
    try:
        manifest = verify(folder)
    except BrokenArtefact:
        return None
    return Replay(name=name, version=manifest.version) if manifest.pushed else None


def replay(name: str, folder: Path) -> Replay:
    """Check every byte of both parts of the seal, run the golden rows by the code that serves, and compare."""
    try:
        manifest = verify(folder)
        golden = read_golden(folder)
        rows = [Row(request=row.request) for row in golden]
        reference = [row.reference for row in golden]
        # Rounded as the golden rows are, so that equal outputs compare as equal.
        outputs = [rounded(row) for row in run_on_rows(folder, rows, reference)]
        comparison = TASKS[manifest.task].comparison_of(manifest.details)
        if problem := problem_together(folder, comparison, rows, outputs):
            return Replay(name=name, version=manifest.version, broken=problem)
    except (BrokenArtefact, ServingError) as error:
        return Replay(name=name, broken=str(error))
    except Exception as error:  # the errors of runtimes have no base class of their own
        return Replay(name=name, broken=unloadable_reason(folder, error))
    where = Replay(
        name=name,
        version=manifest.version,
        rows=len(golden),
        built_on=str(manifest.provenance.get("machine", processor_name())),
        runtime=manifest.runtime,
        built_with=manifest.toolchain.get(manifest.runtime, ""),
        ran_on=processor_name(),
        ran_with=importlib.metadata.version(manifest.runtime),
    )
    compared = [
        compare(comparison, now, row.built) for now, row in zip(outputs, golden, strict=True)
    ]
    differing = [
        _difference(row, now)
        for row, now, (same, far) in zip(golden, outputs, compared, strict=True)
        if not (same and _near(comparison, now, row.built, far, where.other_platform))
    ]
    return replace(
        where,
        same=len(golden) - len(differing),
        apart=max((far for _, far in compared if math.isfinite(far)), default=0.0),
        now=_figures(comparison, outputs, reference, rows),
        then=_figures(comparison, [row.built for row in golden], reference, rows),
        differing=tuple(differing),
    )


def problem_together(
    folder: Path, comparison: Comparison, rows: Sequence[Row], alone: Sequence[Outputs]
) -> str:
    """Return the problem of golden rows that are answered otherwise in common batches than alone; empty if none is.

    Only artefacts with operators of our own are asked: they leave padding out, which nothing else does.
    """
    if kernels_in(folder) is None:
        return ""
    places = golden_places(len(rows))
    together = run_together(folder, [rows[place] for place in places])
    for place, outputs in zip(places, together, strict=True):
        same, far = compare(comparison, outputs, alone[place])
        # A comparison with NaN is false.
        if not (same and far <= MAX_DIFFERENCE):
            return f"row {place + 1} is answered otherwise among other texts than alone, {far:.2g} apart"
    return ""


def unloadable_reason(folder: Path, error: Exception) -> str:
    first = "".join(str(error).splitlines()[:1])
    return f"{folder} cannot be run: {type(error).__name__}: {first}; build the model again"


def _near(
    comparison: Comparison, now: Outputs, then: Outputs, far: float, other_platform: bool
) -> bool:
    """Return whether the floats of outputs that are otherwise the same are near enough to what they were."""
    if far <= MAX_DIFFERENCE:
        return True
    if isinstance(comparison, AnswerComparison):
        return other_platform
    return other_platform and bool(
        comparison.same_elsewhere and comparison.same_elsewhere(now, then)
    )


def compare(comparison: Comparison, one: Outputs, other: Outputs) -> tuple[bool, float]:
    """Return whether two outputs of a row are the same by the task's metric, and their largest difference of floats.

    Without a metric, all but the floats have to be equal.
    """
    # A metric compares answers as users see them: a label, a set of entities, an order.
    far, equal = max_difference(one, other)
    if not isinstance(comparison, AnswerComparison):
        return equal, far
    metric = comparison.metric_of(other)
    return metric.answer(one) == metric.answer(other), far


def max_difference(one: Any, other: Any) -> tuple[float, bool]:
    """Return the largest difference of two floats at the same place, and whether all else is equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return math.inf, False
        return _max_difference_of([(one[key], other[key]) for key in one])
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return math.inf, False
        return _max_difference_of(list(zip(one, other, strict=True)))
    if isinstance(one, float) or isinstance(other, float):
        numbers = isinstance(one, float | int) and isinstance(other, float | int)
        return (abs(one - other), True) if numbers else (math.inf, False)
    return 0.0, one == other


def _max_difference_of(pairs: Sequence[tuple[Any, Any]]) -> tuple[float, bool]:
    compared = [max_difference(one, other) for one, other in pairs]
    return max((far for far, _ in compared), default=0.0), all(equal for _, equal in compared)


def _figures(
    comparison: Comparison,
    outputs: Sequence[Outputs],
    reference: Sequence[Outputs],
    rows: Sequence[Row],
) -> dict[str, Any] | None:
    """Return the gate's figures against the reference; None for a task whose floats have to be the same everywhere."""
    if not isinstance(comparison, AnswerComparison) and comparison.same_elsewhere is None:
        return None
    figures = comparison.measure(outputs, reference, rows)
    return {"nearness": round(figures.similarity, 6), **figures_of(figures)}


def _difference(row: GoldenRow, now: Outputs) -> dict[str, Any]:
    return {"request": row.request.to_wire(), "built": row.built, "now": now}
