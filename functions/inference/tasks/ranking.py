"""Text ranking: a cross-encoder's score of each text for the query in `parameters`."""

from collections.abc import Sequence
from typing import Any

from tokenizers import Encoding

from contracts.errors import RequestProblem, pointer
from contracts.manifest import Manifest
from contracts.prediction import Input, PredictRequest
from functions.inference.tasks.reading import (
    ANSWER_BYTES,
    OUTPUT_BYTES,
    Context,
    Output,
    Parameters,
    TaskHead,
    Text,
    flag,
    only_texts,
    sigmoid,
    unknown,
)


def texts(value: Input, parameters: Parameters) -> list[Text]:
    return [(parameters["query"], str(value))]


def postprocess(
    value: Input, encodings: Sequence[Encoding], results: Sequence[Any], context: Context
) -> Output:
    """Return the sigmoid of the logit, as sentence-transformers' CrossEncoder does for one label, or the raw logit."""
    logit = results[0][0]
    return {"score": logit if context.parameters.get("raw_scores") else sigmoid(logit)}


def rank(outputs: list[Output]) -> None:
    """Number the texts from 1, the best; equal scores keep the order of the request."""
    order = sorted(range(len(outputs)), key=lambda i: -outputs[i]["score"])
    for place, i in enumerate(order, start=1):
        outputs[i]["rank"] = place


def problems(request: PredictRequest, manifest: Manifest) -> list[RequestProblem]:
    query = request.parameters.get("query")
    found = [*only_texts(request), *unknown(request.parameters, "query", "raw_scores")]
    if not isinstance(query, str) or not query.strip():
        detail = "is needed: the text that the inputs are ranked for"
        found.append(RequestProblem(pointer=pointer("parameters", "query"), detail=detail))
    return [*found, *flag(request.parameters, "raw_scores")]


HEAD = TaskHead(
    problems=problems,
    texts=texts,
    postprocess=postprocess,
    finish=rank,
    max_outputs=lambda manifest, parameters: ANSWER_BYTES // OUTPUT_BYTES,
    output_width=lambda manifest: 1,
)
