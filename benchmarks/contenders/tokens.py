"""Arrays of an item's tokens, the inputs of encoder graphs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.contenders import Item


def arrays(item: Item) -> dict[str, Any]:
    """Return arrays [1, tokens] by the names of BERT's inputs: one text, so no padding and one segment."""
    ids = np.array([item.ids], np.int64)
    return {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
    }


def padded(items: Sequence[Item]) -> dict[str, Any]:
    """Return the same of several texts, each padded on the right to the longest with BERT's [PAD]."""
    longest = max(len(item.ids) for item in items)
    ids = np.array([[*item.ids, *[0] * (longest - len(item.ids))] for item in items], np.int64)
    mask = np.array([[i < len(item.ids) for i in range(longest)] for item in items], np.int64)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def largest(logits: Any) -> list[int]:
    """Return the class with the largest logit of the one text in a batch [1, classes]."""
    return [int(np.asarray(logits)[0].argmax())]
