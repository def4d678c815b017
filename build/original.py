"""The original's answers, by transformers and torch: what every candidate is measured against."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from build.quiet import quiet
from build.source import Source
from contracts.tasks import Task

BATCH = 16


def answers(source: Source, texts: Sequence[str]) -> NDArray[np.float32]:
    """[texts, labels] logits, or [texts, dimensions] pooled vectors, in the order of the texts."""
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

    classes = {
        Task.TEXT_CLASSIFICATION: AutoModelForSequenceClassification,
        Task.FEATURE_EXTRACTION: AutoModel,
    }
    with quiet(), torch.no_grad():
        tokenizer = AutoTokenizer.from_pretrained(source.folder, local_files_only=True)
        model = (
            classes[source.task]
            .from_pretrained(source.folder, local_files_only=True)
            .eval()
            .float()
        )
        rows: list[Any] = [None] * len(texts)
        for batch in _batches(texts):
            encoded = tokenizer(
                [texts[i] for i in batch],
                padding=True,
                truncation=True,
                max_length=source.max_tokens,
                return_tensors="pt",
            )
            output = model(**encoded)
            found = (
                output.logits if source.labels else _pool(source, output, encoded["attention_mask"])
            )
            for i, row in zip(batch, found.numpy(), strict=True):
                rows[i] = row
    return np.stack(rows).astype(np.float32)


def _batches(texts: Sequence[str]) -> Iterator[list[int]]:
    """Indices of texts of like length, so that little is computed on padding."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    yield from (order[i : i + BATCH] for i in range(0, len(order), BATCH))


def _pool(source: Source, output: Any, mask: Any) -> Any:
    import torch

    hidden = output.last_hidden_state
    if source.pooling == "cls":
        pooled = hidden[:, 0]
    else:
        weights = mask.unsqueeze(-1).float()
        pooled = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
    return torch.nn.functional.normalize(pooled, dim=-1) if source.normalize else pooled
