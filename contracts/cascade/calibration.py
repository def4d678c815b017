"""The calibration of a model's cascade: the threshold, the bound that it keeps, and the rows that show it.

It is sealed as artefacts are: its digest covers all of it, and it names the digests of both artefacts. A calibration of
other artefacts than those that are deployed holds no longer.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from contracts.errors import TurnoutError
from contracts.manifest import sealed_digest
from contracts.problems import Code
from contracts.tasks import Task

FILE = "calibration.json"
SCHEMA = 1


class BrokenCalibration(TurnoutError):
    """A file does not hold what its digest says, or is no calibration."""

    code = Code.CALIBRATION_BROKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One threshold on the test rows: the shares of inputs kept, lost and right, and the upper bound of the loss.

    An input is lost if it is kept, the CPU tier's answer is wrong, and the GPU tier's is right.
    """

    threshold: float
    kept: float
    lost: float
    bound: float
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Test rows of a similar confidence: their number, their mean confidence, and the share answered right."""

    rows: int
    confidence: float
    right: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The calibration of one model.

    Inputs whose confidence is at least that of `chosen` are kept. With probability `assurance` over the draw of the
    test rows, at most `max_loss` of all inputs like these are lost. `parameters` are those of the requests that it is
    about. `cpu` and `gpu` are digests of artefacts; `disagreed` of the `test_rows` were kept and answered otherwise by
    the GPU tier. `doubts` are reasons why the bound does not hold, empty where it does.
    """

    model: str
    task: Task
    cpu: str
    gpu: str
    max_loss: float
    assurance: float
    chosen: Point
    test_rows: int
    fit_rows: int
    disagreed: int
    cpu_accuracy: float
    gpu_accuracy: float
    calibration_error: float
    calibration_error_fitted: float
    reliability: tuple[Bin, ...]
    curve: tuple[Point, ...]
    rows_sha256: str
    created: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    digest: str = ""
    schema: int = SCHEMA

    def sealed(self) -> Self:
        """Return the calibration with its digest."""
        return replace(self, digest=sealed_digest(self))

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a calibration; raise BrokenCalibration for any other text and for one that was changed."""
        try:
            document: dict[str, Any] = json.loads(text)
            if document.get("schema") != SCHEMA:
                raise BrokenCalibration(
                    f"it is of version {document.get('schema')!r} of the format, and this release reads {SCHEMA}; "
                    "run `turnout calibrate` again"
                )
            document["task"] = Task(document["task"])
            document["chosen"] = Point(**document["chosen"])
            document["curve"] = tuple(Point(**point) for point in document["curve"])
            document["reliability"] = tuple(Bin(**one) for one in document["reliability"])
            document["doubts"] = tuple(document["doubts"])
            found = cls(**document)
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise BrokenCalibration(f"it is no calibration: {error}") from error
        if found.digest != sealed_digest(found):
            raise BrokenCalibration(
                "it was changed after it was sealed; run `turnout calibrate` again"
            )
        return found


def read_calibration(path: Path) -> Calibration | None:
    """Return the calibration in a file, None where there is no file; raise BrokenCalibration."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BrokenCalibration(f"{path}: it cannot be read: {error}") from error
    try:
        return Calibration.from_json(text)
    except BrokenCalibration as error:
        raise BrokenCalibration(f"{path}: {error}") from error
