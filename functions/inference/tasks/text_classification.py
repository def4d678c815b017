"""Classification of a text or a pair of texts: one label, any number of them, or numbers of a regression model.

The function that makes scores of logits is that of transformers' text-classification pipeline.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from tokenizers import Encoding

from contracts.api.task_api import Parameter
from contracts.api.text_classification import API, THRESHOLD, TOP_K
from contracts.manifest import Manifest
from contracts.prediction import Input
from functions.inference.tasks.head import (
    ANSWER_BYTES,
    OUTPUT_BYTES,
    Context,
    Output,
    Parameters,
    TaskHead,
    sigmoid,
    softmax,
)


def postprocess(
    value: Input, encodings: Sequence[Encoding], results: Sequence[Any], context: Context
) -> Output:
    """Return the likeliest label with its score; `top` if `top_k` is given.

    A multi-label model scores each label by a sigmoid, and `labels` are all that reach the threshold. The numbers of a
    regression model are scores as they are, and several are always listed as `top`.
    """
    names, parameters = context.manifest.labels, context.parameters
    multi, regression = _is_multi_label(context.manifest), _is_regression(context.manifest)
    scores = [sigmoid(logit) for logit in results[0]] if multi else results[0]
    scores = scores if multi or regression else softmax(scores)
    best = scores.index(max(scores))
    output: Output = {"label": names[best], "score": scores[best]}
    if multi:
        threshold = THRESHOLD.value(parameters)
        picked = [i for i, score in enumerate(scores) if score >= threshold]
        output["labels"] = scored(names, scores, picked)
    if top_k := _listed(context.manifest, parameters):
        output["top"] = scored(names, scores, range(len(scores)))[:top_k]
    return output


def scored(names: Sequence[str], scores: Sequence[float], picked: Sequence[int]) -> list[Output]:
    """Return the picked labels with their scores, the likeliest first."""
    order = sorted(picked, key=scores.__getitem__, reverse=True)
    return [{"label": names[i], "score": scores[i]} for i in order]


def parameters_of(manifest: Manifest) -> list[Parameter]:
    top_k = TOP_K.limited(maximum=len(manifest.labels))
    return [top_k, THRESHOLD] if _is_multi_label(manifest) else [top_k]


def max_outputs(manifest: Manifest, parameters: Parameters) -> int:
    """Return how many outputs always fit: each has the best label, and those of `top` and `labels`."""
    scores = 1 + _listed(manifest, parameters)
    if _is_multi_label(manifest):
        scores += len(manifest.labels)
    return ANSWER_BYTES // (scores * _scored_bytes(manifest.labels) + OUTPUT_BYTES)


def _is_multi_label(manifest: Manifest) -> bool:
    return bool(manifest.details.get("multi_label", False))


def _is_regression(manifest: Manifest) -> bool:
    return bool(manifest.details.get("regression", False))


def _listed(manifest: Manifest, parameters: Parameters) -> int:
    """Return how many labels `top` has."""
    numbers = len(manifest.labels) if _is_regression(manifest) else 0
    return int(TOP_K.value(parameters) or (numbers if numbers > 1 else 0))


# The labels of a model never change, and every request needs their length.
@cache
def _scored_bytes(labels: tuple[str, ...]) -> int:
    """Return the length of the longest `{"label": ..., "score": ...}` among those labels."""
    # The keys, the braces and the separator take 24 characters, a float up to 24 more.
    return max(len(json.dumps(label)) for label in labels) + 48


HEAD = TaskHead(
    api=API,
    parameters=parameters_of,
    postprocess=postprocess,
    max_outputs=max_outputs,
    output_width=lambda manifest: len(manifest.labels),
)
