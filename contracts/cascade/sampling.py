"""A sample: answers of the CPU tier that the sampling function compares with the GPU tier's.

The router sends it as an event, and waits for no answer. Texts travel in it: they are neither logged nor kept.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from contracts.cascade.drift import Baseline
from contracts.prediction import Input, PredictRequest
from contracts.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """The calibration by which answers were kept: its digest, and the rate of disagreements that it has seen."""

    digest: str
    baseline: Baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Inputs of one request with the outputs of a version of the CPU tier, for the GPU tier at `address`.

    Of each answer `kept` says whether a threshold has kept it, by the calibration that is `calibrated`. `shadow` says
    that all inputs of the request are here, whatever their answers: only then they stand for all requests. A tier that
    `sleeps` may be without a copy, and must not be woken. During a canary `version` may be another than the `newest`.
    """

    model: str
    task: Task
    address: str
    sleeps: bool
    version: str
    newest: str
    inputs: tuple[Input, ...]
    parameters: Mapping[str, Any]
    outputs: tuple[Mapping[str, Any], ...]
    kept: tuple[bool, ...]
    shadow: bool
    calibrated: Calibrated | None = None

    @property
    def request(self) -> PredictRequest:
        return PredictRequest(inputs=self.inputs, parameters=self.parameters)

    def to_wire(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_wire(cls, document: Mapping[str, Any]) -> Self:
        """Return the sample of an event; raise KeyError, TypeError or ValueError for one that is none."""
        found = document["calibrated"]
        return cls(
            **{
                **document,
                "task": Task(document["task"]),
                "inputs": tuple(document["inputs"]),
                "outputs": tuple(document["outputs"]),
                "kept": tuple(document["kept"]),
                "calibrated": found
                and Calibrated(digest=found["digest"], baseline=Baseline(**found["baseline"])),
            }
        )
