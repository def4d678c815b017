"""The answers of both tiers to labelled rows, compared with the right ones and with each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from build.cascade.reliability import Floats
from build.cascade.thresholds import Booleans
from build.evaluation.agreement import AnswerComparison
from build.evaluation.metrics import Metric, Outputs
from build.evaluation.rows import Row
from build.evaluation.texts import EXACT_MATCH
from build.tasks.registry import TASKS
from contracts.cascade.agreement import disagreements
from contracts.cascade.confidence import CONFIDENCES
from contracts.manifest import Manifest
from contracts.tasks import WRITING_TASKS, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The answers to rows, each field [rows]: the CPU tier's confidence, and which are right and the same."""

    confidences: Floats
    cpu_right: Booleans
    gpu_right: Booleans
    same: Booleans

    @property
    def losses(self) -> Booleans:
        """Return where keeping the CPU tier's answer loses: it is wrong, and the GPU tier's is right."""
        return ~self.cpu_right & self.gpu_right

    def at(self, places: Sequence[int]) -> "Answers":
        """Return the answers to some of the rows."""
        return Answers(
            confidences=self.confidences[places],
            cpu_right=self.cpu_right[places],
            gpu_right=self.gpu_right[places],
            same=self.same[places],
        )


def compare(
    manifest: Manifest, rows: Sequence[Row], cpu: Sequence[Outputs], gpu: Sequence[Outputs]
) -> Answers | None:
    """Return the answers of both tiers to labelled rows; None if those of the CPU tier have no confidence."""
    metric = metric_of(manifest.task)
    assert metric
    confidence = CONFIDENCES[manifest.task].of
    found = [confidence(o, row.request.parameters) for o, row in zip(cpu, rows, strict=True)]
    of_rows = [one for one in found if one is not None]
    if len(of_rows) < len(found):
        return None
    return Answers(
        confidences=np.array([min(one) for one in of_rows]),
        cpu_right=np.array([is_right(metric, o, row) for o, row in zip(cpu, rows, strict=True)]),
        gpu_right=np.array([is_right(metric, o, row) for o, row in zip(gpu, rows, strict=True)]),
        same=np.array(
            [not any(disagreements(manifest.task, a, b)) for a, b in zip(cpu, gpu, strict=True)]
        ),
    )


def metric_of(task: Task) -> Metric | None:
    """Return the metric that tells right answers of a task; None where answers are near or far."""
    if task in WRITING_TASKS:
        return EXACT_MATCH
    comparison = TASKS[task].comparison
    return comparison.metric if isinstance(comparison, AnswerComparison) else None


def is_right(metric: Metric, outputs: Outputs, row: Row) -> bool:
    """Return whether the metric of the row alone is the best that there is."""
    return float(metric.value(np.array(metric.counts(metric.answer(outputs), row.answer)))) == 1.0
