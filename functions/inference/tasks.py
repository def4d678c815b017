"""What a model's numbers mean, task by task: one output per row of the session's answer.

Rows are plain lists: for the few numbers of one request Python outruns numpy, whose every call costs more.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from contracts.errors import InvalidInput, Mistake, pointer
from contracts.limits import LAMBDA_PAYLOAD_BYTES, vectors_per_answer
from contracts.manifest import Manifest
from contracts.prediction import MAX_MISTAKES
from contracts.tasks import Task

Rows = list[list[float]]
Outputs = list[dict[str, Any]]
Parameters = Mapping[str, Any]
Read = Callable[[Rows, Manifest, Parameters], Outputs]
Check = Callable[[Manifest, Parameters], list[Mistake]]
Most = Callable[[Manifest, Parameters], int]

# What an output has besides its scores or floats: keys, token count, the flag, the best label's score.
OUTPUT_BYTES = 128


def softmax(logits: Sequence[float]) -> list[float]:
    """The scores of one row, safe for large logits."""
    highest = max(logits)
    powers = [math.exp(logit - highest) for logit in logits]
    total = math.fsum(powers)
    return [power / total for power in powers]


def labels(rows: Rows, manifest: Manifest, parameters: Parameters) -> Outputs:
    """Logits -> the likeliest label with its score, and `top` labels where asked for."""
    outputs = []
    for scores in map(softmax, rows):
        best = scores.index(max(scores))
        output: dict[str, Any] = {"label": manifest.labels[best], "score": scores[best]}
        if top_k := parameters.get("top_k"):
            order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:top_k]
            output["top"] = [{"label": manifest.labels[i], "score": scores[i]} for i in order]
        outputs.append(output)
    return outputs


def vectors(rows: Rows, manifest: Manifest, parameters: Parameters) -> Outputs:
    """The embeddings as they are; the graph has pooled and normalised them."""
    return [{"embedding": row} for row in rows]


def check_labels(manifest: Manifest, parameters: Parameters) -> list[Mistake]:
    mistakes = _unknown(parameters, "top_k")
    top_k, most = parameters.get("top_k", 1), len(manifest.labels)
    if not isinstance(top_k, int) or isinstance(top_k, bool) or not 1 <= top_k <= most:
        detail = f"must be a whole number from 1 to {most}"
        mistakes.append(Mistake(pointer=pointer("parameters", "top_k"), detail=detail))
    return mistakes


def check_vectors(manifest: Manifest, parameters: Parameters) -> list[Mistake]:
    return _unknown(parameters)


def _unknown(parameters: Parameters, *known: str) -> list[Mistake]:
    detail = f"unknown; this task knows {', '.join(known) or 'no parameters'}"
    return [
        Mistake(pointer=pointer("parameters", key), detail=detail)
        for key in parameters
        if key not in known
    ]


def most_labels(manifest: Manifest, parameters: Parameters) -> int:
    scored = 1 + int(parameters.get("top_k", 0))
    return (LAMBDA_PAYLOAD_BYTES - 1024) // (scored * _scored_bytes(manifest.labels) + OUTPUT_BYTES)


@cache
def _scored_bytes(labels: tuple[str, ...]) -> int:
    """The longest `{"label": ..., "score": ...}` among those labels."""
    return max(len(json.dumps(label)) for label in labels) + 48


def most_vectors(manifest: Manifest, parameters: Parameters) -> int:
    return vectors_per_answer(manifest.dimensions)


READ: dict[Task, Read] = {Task.TEXT_CLASSIFICATION: labels, Task.FEATURE_EXTRACTION: vectors}
CHECK: dict[Task, Check] = {
    Task.TEXT_CLASSIFICATION: check_labels,
    Task.FEATURE_EXTRACTION: check_vectors,
}
# How many outputs are sure to fit one answer.
MOST: dict[Task, Most] = {
    Task.TEXT_CLASSIFICATION: most_labels,
    Task.FEATURE_EXTRACTION: most_vectors,
}


def check_parameters(manifest: Manifest, parameters: Parameters) -> None:
    """Raises InvalidInput that lists every wrong parameter, 20 at most."""
    if mistakes := CHECK[manifest.task](manifest, parameters):
        first = mistakes[0]
        raise InvalidInput(f"{first.pointer}: {first.detail}", mistakes=mistakes[:MAX_MISTAKES])
