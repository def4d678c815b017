"""The workspace of a build, which holds the results of its stages so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from build.evaluation.metrics import Outputs
from build.families.family import Family
from build.families.registry import family_of
from build.proof.candidate import Candidate
from build.proof.processors import Processor
from build.reading.check import Reading
from build.reading.outputs import Margins
from build.step import Step
from build.workspace.cache import Cache
from build.workspace.progress import Notify, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The results of a build so far.

    `prepared` is the folder of the exported graphs. `margins` and `libraries` are the reference's
    (`build.reading.outputs`), `reading` is the check by it; `uninformative` is why the rows compare nothing.
    `processors` are those that candidates are checked on besides this machine's.
    `processor_results` are the results of the candidate that ships on each processor. `seconds` are the durations of
    the stages; `notify` is called with what is at work within one.
    """

    folder: Path
    step: Step
    cache: Cache
    processors: tuple[Processor, ...]
    prepared: Path = Path()
    reference: tuple[Outputs, ...] = ()
    margins: tuple[Sequence[Margins], ...] = ()
    libraries: dict[str, str] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)
    uninformative: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    chosen: Candidate | None = None
    processor_results: tuple[dict[str, Any], ...] = ()
    passed_over: tuple[dict[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    notify: Notify = silent

    @property
    def family(self) -> Family[Any, Any]:
        return family_of(self.step.source)


Stage = Callable[[Workspace], Workspace]
