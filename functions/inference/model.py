"""What an engine asks of a family of models; encoders, generators and tables each answer in their own way."""

from collections.abc import Mapping
from typing import Any, Protocol

from contracts.errors import RequestProblem
from contracts.prediction import PredictRequest

Parameters = Mapping[str, Any]
Outputs = list[dict[str, Any]]


class Model(Protocol):
    """One loaded model. Predictions may run side by side; nothing is changed by them."""

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers of its sessions, first the one that is really used."""
        ...

    def problems(self, request: PredictRequest) -> list[RequestProblem]:
        """What is wrong with the request's parameters and with the form of its inputs."""
        ...

    def most(self, parameters: Parameters) -> int | None:
        """How many outputs are sure to fit one answer; None where only the answer itself tells."""
        ...

    def outputs(self, request: PredictRequest) -> Outputs:
        """One output per input, in order; raises ModelFailed."""
        ...
