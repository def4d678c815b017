"""Arrays of an item's tokens, the inputs of encoder graphs, and the items that a contender is calibrated on."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.contenders import Item, Setting


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


def sample(setting: Setting, rows: int) -> list[Item]:
    """Return an even sample of the items."""
    lines = setting.items.read_text("utf-8").splitlines()
    items = [Item.of(json.loads(line)) for line in lines]
    rows = min(rows, len(items))
    return [items[i * len(items) // rows] for i in range(rows)]
