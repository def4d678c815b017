"""Classification of a text or a pair of texts: one label, or any number of them for a multi-label model."""

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


def postprocess(
    value: Input, encodings: Sequence[Encoding], results: Sequence[Any], context: Context
) -> Output:
    """Return the likeliest label with its score; `top` if `top_k` is given.

    A multi-label model scores each label by a sigmoid, and `labels` are all that reach the threshold.
    """
    names, parameters = context.manifest.labels, context.parameters
    multi = context.manifest.details.get("multi_label", False)
    scores = [sigmoid(logit) for logit in results[0]] if multi else softmax(results[0])
    best = scores.index(max(scores))
    output: Output = {"label": names[best], "score": scores[best]}
    if multi:
        threshold = parameters.get("threshold", THRESHOLD)
        picked = [i for i, score in enumerate(scores) if score >= threshold]
        output["labels"] = scored(names, scores, picked)
    if top_k := parameters.get("top_k"):
        output["top"] = scored(names, scores, range(len(scores)))[:top_k]
    return output


def scored(names: Sequence[str], scores: Sequence[float], picked: Sequence[int]) -> list[Output]:
    """Return the picked labels with their scores, the likeliest first."""
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


def max_outputs(manifest: Manifest, parameters: Parameters) -> int:
    """Return how many outputs always fit: each has the best label, and those of `top` and `labels`."""
    scores = 1 + int(parameters.get("top_k", 0))
    if manifest.details.get("multi_label", False):
        scores += len(manifest.labels)
    return ANSWER_BYTES // (scores * _scored_bytes(manifest.labels) + OUTPUT_BYTES)


@cache
def _scored_bytes(labels: tuple[str, ...]) -> int:
    """Return the length of the longest `{"label": ..., "score": ...}` among those labels."""
    return max(len(json.dumps(label)) for label in labels) + 48


HEAD = TaskHead(
    problems=problems,
    postprocess=postprocess,
    max_outputs=max_outputs,
    output_width=lambda m: len(m.labels),
)
