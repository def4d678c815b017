"""Sentence embeddings by transformers and torch: the model is loaded once, when the function's environment starts."""

from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("model")
model = AutoModel.from_pretrained("model").eval()


def embed(texts: list[str]) -> list[list[float]]:
    """Return the vectors of texts: the mean over tokens, of length 1, as the model's card says."""
    batch = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.inference_mode():
        states = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    means = (states * mask).sum(1) / mask.sum(1)
    vectors: list[list[float]] = torch.nn.functional.normalize(means).tolist()
    return vectors


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return {"outputs": [{"embedding": vector} for vector in embed(event["inputs"])]}
