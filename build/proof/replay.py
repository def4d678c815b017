"""An artefact asked its golden rows again, and whether it still answers as it did when it was built."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from build.evaluation.gate import figures_of, measure, metric_of
from build.evaluation.metrics import METRICS, WRITES, Outputs
from build.evaluation.rows import Row
from build.proof.candidate import run_on_rows
from build.proof.evidence import processor
from build.proof.golden import Golden, read_golden, rounded
from contracts.errors import ServingError
from contracts.manifest import BrokenArtefact, verify
from contracts.specs import Gate
from contracts.tasks import Task

# How far apart two floats may be and still be the same answer, where they were computed by the same instructions.
APART = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came of one artefact; `broken` says what is wrong with it where it could not even be asked.

    `same` of `rows` are answered as when it was built, the farthest float `apart` from what it was; `differing` are the
    others. On another processor, or with another ONNX Runtime, rounding moves floats of a quantized model farther than
    here: there, an answer is the same by the metric, a vector by the cosine that the gate asks for by default. `now`
    and `then` are how near it is, and was, to the original, as the gate measures that.
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

    @property
    def holds(self) -> bool:
        return not self.broken and self.same == self.rows

    @property
    def elsewhere(self) -> bool:
        """Whether it was built with other instructions than it was asked with."""
        return (self.built_on, self.built_with) != (self.ran_on, self.ran_with)


def replay(name: str, folder: Path) -> Replay:
    """Check every sealed byte, ask the golden rows by the code that is served, and compare."""
    import onnxruntime as ort

    try:
        manifest = verify(folder)
        golden = read_golden(folder)
        rows = [Row(request=row.request) for row in golden]
        original = [row.original for row in golden]
        found = [rounded(outputs) for outputs in run_on_rows(folder, rows, original)]
    except (BrokenArtefact, ServingError) as error:
        return Replay(name=name, broken=str(error))
    except Exception as error:  # ONNX Runtime's kinds of error have no base of their own
        return Replay(name=name, broken=unloadable_reason(folder, error))
    where = Replay(
        name=name,
        version=manifest.version,
        rows=len(golden),
        built_on=str(manifest.provenance.get("machine", processor())),
        built_with=manifest.toolchain.get("onnxruntime", ""),
        ran_on=processor(),
        ran_with=ort.__version__,
    )
    compared = [
        compare(manifest.task, now, row.built) for now, row in zip(found, golden, strict=True)
    ]
    differing = [
        _difference(row, now)
        for row, now, (same, far) in zip(golden, found, compared, strict=True)
        if not (same and _near(manifest.task, now, row, far, where.elsewhere))
    ]
    return replace(
        where,
        same=len(golden) - len(differing),
        apart=max((far for _, far in compared if math.isfinite(far)), default=0.0),
        now=_nearness(manifest.task, found, original, rows),
        then=_nearness(manifest.task, [row.built for row in golden], original, rows),
        differing=tuple(differing),
    )


def unloadable_reason(folder: Path, error: Exception) -> str:
    said = "".join(str(error).splitlines()[:1])
    return f"{folder} cannot be asked: {type(error).__name__}: {said}; build the model again"


def _near(task: Task, now: Outputs, row: Golden, far: float, elsewhere: bool) -> bool:
    """Whether the floats of an answer that is otherwise the same are near enough to those it had."""
    if far <= APART:
        return True
    if task is Task.FEATURE_EXTRACTION and elsewhere:
        cosine = measure(task, [now], [row.built], [Row(request=row.request)])
        return cosine.nearness >= Gate().min_cosine_mean
    return elsewhere and task in (*METRICS, *WRITES)


def compare(task: Task, one: Outputs, other: Outputs) -> tuple[bool, float]:
    """Whether two answers to a row are the same by the task's metric, and how far apart their floats are.

    Without a metric, all but the floats has to be equal.
    """
    far, equal = max_difference(one, other)
    if task not in METRICS:
        return equal, far
    metric = metric_of(task, [other])
    return metric.answer(one) == metric.answer(other), far


def max_difference(one: Any, other: Any) -> tuple[float, bool]:
    """How far the farthest floats at the same places are apart, and whether all else is equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return math.inf, False
        return _farthest([(one[key], other[key]) for key in one])
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return math.inf, False
        return _farthest(list(zip(one, other, strict=True)))
    if isinstance(one, float) or isinstance(other, float):
        numbers = isinstance(one, float | int) and isinstance(other, float | int)
        return (abs(one - other), True) if numbers else (math.inf, False)
    return 0.0, one == other


def _farthest(pairs: Sequence[tuple[Any, Any]]) -> tuple[float, bool]:
    found = [max_difference(one, other) for one, other in pairs]
    return max((far for far, _ in found), default=0.0), all(equal for _, equal in found)


def _nearness(
    task: Task, answered: Sequence[Outputs], original: Sequence[Outputs], rows: Sequence[Row]
) -> dict[str, Any] | None:
    """The gate's figures against the original; None for a task that it has none for."""
    if task not in (*METRICS, *WRITES, Task.FEATURE_EXTRACTION):
        return None
    figures = measure(task, answered, original, rows)
    return {"nearness": round(figures.nearness, 6), **figures_of(figures)}


def _difference(row: Golden, now: Outputs) -> dict[str, Any]:
    return {"request": row.request.to_wire(), "built": row.built, "now": now}
