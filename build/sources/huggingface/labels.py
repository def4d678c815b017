"""The labels of a classifier, by `id2label` of its config.json."""

from collections.abc import Mapping
from typing import Any

from build.sources.source import Unusable
from contracts.problems import Code


def read_labels(config: Mapping[str, Any], minimum: int) -> tuple[str, ...]:
    """Return the labels in the order of the outputs; raise Unusable where there are fewer, or one is missing."""
    names = config.get("id2label") or {}
    if not isinstance(names, dict):
        names = {}
    # Keys of a JSON object are texts, so the ids of labels are texts here.
    labels = tuple(str(names.get(str(i), "")) for i in range(len(names)))
    if len(labels) < minimum or not all(labels) or len(set(labels)) < len(labels):
        raise Unusable(
            Code.LABELS_MISSING,
            "config.json has no complete `id2label`; name every label once, from 0 up",
        )
    return labels
