"""Arrays of an item's tokens, the inputs of encoder graphs."""

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


def largest(logits: Any) -> list[int]:
    """Return the class with the largest logit of the one text in a batch [1, classes]."""
    return [int(np.asarray(logits)[0].argmax())]
