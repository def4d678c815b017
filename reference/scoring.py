"""The log-probability of each token of a text, given those before it, by a causal model of transformers."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM

from reference.loading import fed, limit_tokens, load_model, load_tokenizer
from reference.messages import Asked, Message, Run


def scores(asked: Asked) -> Run:
    """Return what scores the tokens of a text."""
    model, tokenizer = load_model(AutoModelForCausalLM, asked.folder), load_tokenizer(asked.folder)
    limit = limit_tokens(tokenizer, model, asked.max_tokens)

    def run(row: Message) -> list[Message]:
        return [score(value) for value in row["inputs"]]

    def score(value: str) -> Message:
        encoded = tokenizer(value, return_offsets_mapping=True, return_special_tokens_mask=True)
        ids = encoded["input_ids"]
        answer = {
            "pieces": tokenizer.convert_ids_to_tokens(ids),
            "offsets": encoded["offset_mapping"],
            "special": encoded["special_tokens_mask"],
            "log_probabilities": log_probabilities(model, ids, limit),
            "tokens": len(ids),
        }
        return {
            **answer,
            **({"fed": [fed({"input_ids": torch.tensor([ids])})]} if asked.trace else {}),
        }

    return run


def log_probabilities(model: Any, ids: list[int], limit: int) -> list[float]:
    """Return the natural log-probability of every token but the first.

    A long text is run in windows with a stride of half of one (https://huggingface.co/docs/transformers/perplexity).
    """
    found: list[float] = []
    end = 1
    while end < len(ids):
        start = max(0, end - limit // 2) if found else 0
        stop = min(start + limit, len(ids))
        with torch.inference_mode():
            window = torch.tensor([ids[start:stop]])
            logits = model(input_ids=window).logits[0, :-1].double().log_softmax(-1)
        given = logits.gather(-1, window[0, 1:, None])[:, 0].tolist()
        found += given[len(found) - start :]
        end = stop
    return found
