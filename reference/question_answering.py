"""Extractive question answering by the rules of transformers 4's pipeline, which transformers 5 no longer has.

https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/pipelines/question_answering.py
"""

from typing import Any

import torch
from transformers import AutoModelForQuestionAnswering

from reference.loading import fed, limit_tokens, load_model, load_tokenizer
from reference.messages import Asked, Message, Open, Run

# The most tokens that two windows share, and what the logit of a token outside of the context becomes.
STRIDE, OUTSIDE = 128, -1e4


def spans(asked: Asked) -> Run:
    """Return what answers a question from a text, in overlapping windows where it is long."""
    model, tokenizer = (
        load_model(AutoModelForQuestionAnswering, asked.folder),
        load_tokenizer(asked.folder),
    )
    limit = limit_tokens(tokenizer, model, asked.max_tokens)

    def answer(value: Any, parameters: Message) -> Message:
        encoded = tokenizer(
            value["question"],
            value["context"],
            truncation="only_second",
            max_length=limit,
            stride=min(limit // 2, STRIDE),
            return_overflowing_tokens=True,
        )
        found = best_spans(model, tokenizer, encoded, value["context"], parameters)
        rivals = [each["score"] for each in found[:2]] + [0.0] * (len(found) < 2)
        ratio = torch.tensor(rivals).log()
        return {
            "spans": found[: parameters.get("top_k", 1)],
            "margin": min(float(ratio[0] - ratio[1]), 1e9),
            "tokens": sum(map(len, encoded["input_ids"])),
            **({"fed": [fed(w) for w in windows(tokenizer, encoded)]} if asked.trace else {}),
        }

    return lambda row: [answer(value, row["parameters"]) for value in row["inputs"]]


def windows(tokenizer: Any, encoded: Any) -> list[Message]:
    """Return the model's inputs for each window."""
    names = tokenizer.model_input_names
    return [
        {name: torch.tensor([encoded[name][i]]) for name in names}
        for i in range(len(encoded["input_ids"]))
    ]


def best_spans(
    model: Any, tokenizer: Any, encoded: Any, context: str, parameters: Message
) -> list[Message]:
    """Return the spans by their scores, the best first: start times end, added up over windows and equal texts."""
    found, null = dict[str, Message](), 1.0
    longest, count = parameters.get("max_answer_len", 15), 2 * parameters.get("top_k", 1) + 10
    for i, inputs in enumerate(windows(tokenizer, encoded)):
        with torch.inference_mode():
            output = model(**inputs)
        inside = torch.tensor([part == 1 for part in encoded.sequence_ids(i)])
        # The first token, which stands for no answer, takes its share of the softmax.
        allowed = inside | (inputs["input_ids"][0] == tokenizer.cls_token_id)
        logits = torch.stack([output.start_logits[0], output.end_logits[0]])
        start, end = logits.masked_fill(~allowed, OUTSIDE).softmax(-1) * allowed
        null = min(null, float(start[0] * end[0]))
        table = torch.outer(start, end).triu().tril(longest - 1) * torch.outer(inside, inside)
        best = table.flatten().topk(min(count, table.numel()))
        for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            first, last = characters(encoded[i], *divmod(place, len(inside)))
            text = context[first:last]
            new = {"answer": text, "start": first, "end": last, "score": 0.0}
            found.setdefault(text.lower(), new)["score"] += score
    if parameters.get("handle_impossible_answer"):
        found[""] = {"answer": "", "start": 0, "end": 0, "score": null}
    return sorted(found.values(), key=lambda each: -each["score"])


def characters(encoding: Any, first: int, last: int) -> tuple[int, int]:
    """Return the characters from the word of the first token to that of the last."""
    try:
        words = encoding.token_to_word(first), encoding.token_to_word(last)
        return encoding.word_to_chars(words[0], 1)[0], encoding.word_to_chars(words[1], 1)[1]
    except Exception:  # some tokenizers have no words
        return encoding.offsets[first][0], encoding.offsets[last][1]


TASKS: dict[str, Open] = {
    "question-answering": spans,
}
