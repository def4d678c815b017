"""The interface of a family of models to the engine: encoders, generators, scorers and word vectors implement it."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self, runtime_checkable

from contracts.http_errors import RequestProblem
from contracts.prediction import PredictRequest
from contracts.streaming import Delta

Parameters = Mapping[str, Any]
Outputs = list[dict[str, Any]]
# Yields what is written as it is, and returns the outputs.
Written = Generator[Delta, None, Outputs]


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


@runtime_checkable
class WritingModel(Model, Protocol):
    """A model that writes text, and can say what it has written before that is whole."""

    def stream(self, request: PredictRequest) -> Written:
        """Write one text after the other; raise ModelFailed. To close it ends the work."""
        ...


class PreparedTexts(Protocol):
    """The tokenised texts of one request."""

    @property
    def tokens(self) -> int:
        """Return the tokens of all texts, without padding."""
        ...


@runtime_checkable
class BatchingModel(Model, Protocol):
    """A model that runs the texts of several requests together: an encoder. Models that write text do not."""

    def prepare(self, request: PredictRequest) -> Any:
        """Return the request's PreparedTexts; raise InvalidInput."""
        ...

    def outputs_together(
        self, requests: Sequence[Any]
    ) -> Iterator[tuple[int, Outputs | Exception]]:
        """Yield the place of each of the requests' PreparedTexts and its outputs, or its error, in any order."""
        ...

    def warmed_up(self) -> Self:
        """Run the largest batch and a small one; return the model with what a pass costs, in tokens."""
        ...
