"""The description of a task: everything that the build has to know of it."""

from dataclasses import dataclass

from build.evaluation.gate import Comparison
from build.evaluation.rows import RowFormat
from contracts.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDescription:
    """One task: the format of its labelled rows, and the comparison that the gate decides by."""

    name: Task
    rows: RowFormat
    comparison: Comparison
