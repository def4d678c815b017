"""Labels of a whole text, or of a pair of texts: one of them, or with `multi_label` any number."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from tokenizers import Encoding

from contracts.errors import RequestProblem
from contracts.manifest import Manifest
from contracts.prediction import Input, PredictRequest
from functions.inference.tasks.reading import (
    ANSWER_BYTES,
    OUTPUT_BYTES,
    Context,
    Output,
    Parameters,
    TaskHead,
    objects_of,
    sigmoid,
    softmax,
    unit_interval,
    unknown,
    whole_number,
)

THRESHOLD = 0.5


def read(
    value: Input, encodings: Sequence[Encoding], numbers: Sequence[Any], context: Context
) -> Output:
    """Logits -> the likeliest label with its score, `top` where `top_k` asks for more.

    A multi-label model scores each label alone, and `labels` are all that reach the threshold.
    """
    names, parameters = context.manifest.labels, context.parameters
    multi = context.manifest.details.get("multi_label", False)
    scores = [sigmoid(logit) for logit in numbers[0]] if multi else softmax(numbers[0])
    best = scores.index(max(scores))
    output: Output = {"label": names[best], "score": scores[best]}
    if multi:
        least = parameters.get("threshold", THRESHOLD)
        output["labels"] = scored(names, scores, [i for i, s in enumerate(scores) if s >= least])
    if top_k := parameters.get("top_k"):
        output["top"] = scored(names, scores, range(len(scores)))[:top_k]
    return output


def scored(names: Sequence[str], scores: Sequence[float], picked: Sequence[int]) -> list[Output]:
    """The picked labels with their scores, the likeliest first."""
    order = sorted(picked, key=scores.__getitem__, reverse=True)
    return [{"label": names[i], "score": scores[i]} for i in order]


def problems(request: PredictRequest, manifest: Manifest) -> list[RequestProblem]:
    multi = manifest.details.get("multi_label", False)
    parameters = request.parameters
    return [
        *objects_of(request, "text", "text_pair", texts_too=True),
        *unknown(parameters, "top_k", *(["threshold"] if multi else [])),
        *whole_number(parameters, "top_k", 1, len(manifest.labels)),
        *unit_interval(parameters, "threshold"),
    ]


def most(manifest: Manifest, parameters: Parameters) -> int:
    scores = 1 + int(parameters.get("top_k", 0))
    if manifest.details.get("multi_label", False):
        scores += len(manifest.labels)
    return ANSWER_BYTES // (scores * _scored_bytes(manifest.labels) + OUTPUT_BYTES)


@cache
def _scored_bytes(labels: tuple[str, ...]) -> int:
    """The longest `{"label": ..., "score": ...}` among those labels."""
    return max(len(json.dumps(label)) for label in labels) + 48


READER = TaskHead(problems=problems, read=read, most=most, width=lambda m: len(m.labels))
