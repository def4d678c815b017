"""What a model's numbers mean, task by task: one output per row of the session's answer."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import InvalidInput, Mistake
from contracts.manifest import Manifest
from contracts.tasks import Task

Rows = NDArray[np.float32]
Outputs = list[dict[str, Any]]
Read = Callable[[Rows, Manifest, Mapping[str, Any]], Outputs]
Check = Callable[[Manifest, Mapping[str, Any]], list[Mistake]]


def softmax(logits: Rows) -> NDArray[np.float64]:
    """Over the last axis, in double precision, safe for large logits."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    scores: NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return scores


def labels(logits: Rows, manifest: Manifest, parameters: Mapping[str, Any]) -> Outputs:
    """[batch, labels] logits -> the likeliest label with its score, and `top` labels where asked for."""
    scores = softmax(logits)
    best = scores.argmax(axis=-1)
    outputs: Outputs = [
        {"label": manifest.labels[i], "score": float(row[i])}
        for row, i in zip(scores, best, strict=True)
    ]
    if top_k := parameters.get("top_k"):
        for output, row in zip(outputs, scores, strict=True):
            order = np.argsort(-row, kind="stable")[:top_k]
            output["top"] = [{"label": manifest.labels[i], "score": float(row[i])} for i in order]
    return outputs


def vectors(rows: Rows, manifest: Manifest, parameters: Mapping[str, Any]) -> Outputs:
    """[batch, dimensions] -> embeddings; the graph has pooled and normalised them."""
    return [{"embedding": row} for row in rows.tolist()]


def check_labels(manifest: Manifest, parameters: Mapping[str, Any]) -> list[Mistake]:
    mistakes = _unknown(parameters, "top_k")
    top_k, most = parameters.get("top_k", 1), len(manifest.labels)
    if not isinstance(top_k, int) or isinstance(top_k, bool) or not 1 <= top_k <= most:
        detail = f"must be a whole number from 1 to {most}"
        mistakes.append(Mistake(pointer="/parameters/top_k", detail=detail))
    return mistakes


def check_vectors(manifest: Manifest, parameters: Mapping[str, Any]) -> list[Mistake]:
    return _unknown(parameters)


def _unknown(parameters: Mapping[str, Any], *known: str) -> list[Mistake]:
    detail = f"unknown; this task knows {', '.join(known) or 'no parameters'}"
    return [
        Mistake(pointer=f"/parameters/{key}", detail=detail)
        for key in parameters
        if key not in known
    ]


READ: dict[Task, Read] = {Task.TEXT_CLASSIFICATION: labels, Task.FEATURE_EXTRACTION: vectors}
CHECK: dict[Task, Check] = {
    Task.TEXT_CLASSIFICATION: check_labels,
    Task.FEATURE_EXTRACTION: check_vectors,
}


def check_parameters(manifest: Manifest, parameters: Mapping[str, Any]) -> None:
    """Raises InvalidInput that lists every wrong parameter."""
    if mistakes := CHECK[manifest.task](manifest, parameters):
        first = mistakes[0]
        raise InvalidInput(f"{first.pointer}: {first.detail}", mistakes=mistakes)
