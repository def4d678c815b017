"""One vector for each text."""

from collections.abc import Sequence
from typing import Any

from tokenizers import Encoding

from contracts.errors import RequestProblem
from contracts.limits import vectors_per_answer
from contracts.manifest import Manifest
from contracts.prediction import Input, PredictRequest
from functions.inference.tasks.reading import Context, Output, TaskHead, only_texts, unknown


def read(
    value: Input, encodings: Sequence[Encoding], numbers: Sequence[Any], context: Context
) -> Output:
    """The vector as it is; the graph has pooled and normalised it."""
    return {"embedding": numbers[0]}


def problems(request: PredictRequest, manifest: Manifest) -> list[RequestProblem]:
    return [*only_texts(request), *unknown(request.parameters)]


READER = TaskHead(
    problems=problems,
    read=read,
    most=lambda manifest, parameters: vectors_per_answer(manifest.dimensions),
    width=lambda manifest: manifest.dimensions,
)
