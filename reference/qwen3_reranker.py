"""Rerankers of Qwen3 as their model card runs them, where no chat template says how a query and a text are put.

CrossEncoder has no input for those. https://huggingface.co/Qwen/Qwen3-Reranker-0.6B
"""

from typing import Any

import torch
from transformers import AutoModelForCausalLM

from reference.loading import fed, limit_tokens, load_model, load_tokenizer
from reference.messages import Asked, Message, Run

PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
TASK = "Given a web search query, retrieve relevant passages that answer the query"


def is_meant(made: Any) -> bool:
    """Return whether a loaded CrossEncoder is a Qwen3 that generates, with a chat template that carries no pair."""
    first = made[0]
    causal = first.transformer_task == "text-generation" and first.config.model_type == "qwen3"
    if not causal or "message" not in first.modality_config:
        return False
    return first.input_formatter.pair_roles_failure() is not None


def ranking(asked: Asked) -> Run:
    """Return what scores texts for a query by the logits of "yes" and "no"."""
    model, tokenizer = load_model(AutoModelForCausalLM, asked.folder), load_tokenizer(asked.folder)
    limit = limit_tokens(tokenizer, model, asked.max_tokens)
    no, yes = (tokenizer.convert_tokens_to_ids(token) for token in ("no", "yes"))
    prefix, suffix = (tokenizer.encode(t, add_special_tokens=False) for t in (PREFIX, SUFFIX))

    def run(row: Message) -> list[Message]:
        query = row["parameters"]["query"]
        return [score(query, value) for value in row["inputs"]]

    def score(query: str, text: str) -> Message:
        pair = f"<Instruct>: {TASK}\n<Query>: {query}\n<Document>: {text}"
        room = limit - len(prefix) - len(suffix)
        middle = tokenizer(pair, truncation="longest_first", max_length=room)["input_ids"]
        inputs = {"input_ids": torch.tensor([[*prefix, *middle, *suffix]])}
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        with torch.inference_mode():
            logits = model(**inputs).logits[0, -1, [no, yes]]
        answer = {"score": float(logits.softmax(0)[1]), "logit": float(logits[1] - logits[0])}
        tokens = int(inputs["input_ids"].shape[-1])
        return {**answer, "tokens": tokens, **({"fed": [fed(inputs)]} if asked.trace else {})}

    return run
