"""Feature extraction: one vector for each text."""

from collections.abc import Sequence
from typing import Any

from tokenizers import Encoding

from contracts.errors import RequestProblem
from contracts.limits import vectors_per_answer
from contracts.manifest import Manifest
from contracts.prediction import Input, PredictRequest
from functions.inference.tasks.reading import Context, Output, TaskHead, only_texts, unknown


def postprocess(
    value: Input, encodings: Sequence[Encoding], results: Sequence[Any], context: Context
) -> Output:
    """Return the vector as it is: the graph pools and normalises it."""
    return {"embedding": results[0]}


def problems(request: PredictRequest, manifest: Manifest) -> list[RequestProblem]:
    return [*only_texts(request), *unknown(request.parameters)]


HEAD = TaskHead(
    problems=problems,
    postprocess=postprocess,
    max_outputs=lambda manifest, parameters: vectors_per_answer(manifest.dimensions),
    output_width=lambda manifest: manifest.dimensions,
)
