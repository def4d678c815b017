"""The interface of a family of models to the engine: encoders, generators, scorers and word vectors implement it."""

from collections.abc import Mapping
from typing import Any, Protocol

from contracts.http_errors import RequestProblem
from contracts.prediction import PredictRequest

Parameters = Mapping[str, Any]
Outputs = list[dict[str, Any]]


class Model(Protocol):
    """One loaded model. Predictions may run side by side; nothing is changed by them."""

    @property
    def providers(self) -> tuple[str, ...]:
        """Return the execution providers of its sessions, first the one in use."""
        ...

    def problems(self, request: PredictRequest) -> list[RequestProblem]:
        """Return every problem of the request's parameters and of the form of its inputs."""
        ...

    def max_outputs(self, parameters: Parameters) -> int | None:
        """Return how many outputs always fit one answer; None if that depends on the outputs themselves."""
        ...

    def outputs(self, request: PredictRequest) -> Outputs:
        """Return one output per input, in order; raise ModelFailed."""
        ...
