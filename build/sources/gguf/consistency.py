"""Consistency of a GGUF file's keys with its tensors and tokens, checked before anything is made of their size."""

import math
from collections.abc import Iterator
from typing import Any

from build.sources.gguf.header import Header
from build.sources.token_limit import MAX_TRUSTED_LIMIT, limit_problem
from contracts.problems import Code, Problem

AGAIN = "convert it again with llama.cpp"
# Whole-number hyperparameters and the minimum of each; all but the required ones may be left out.
MIN_VALUES = {
    "context_length": 0,
    "block_count": 1,
    "embedding_length": 1,
    "feed_forward_length": 1,
    "attention.head_count": 1,
    "attention.head_count_kv": 1,
    "attention.key_length": 1,
    "rope.dimension_count": 1,
    "vocab_size": 1,
}
REQUIRED = ("block_count", "embedding_length", "feed_forward_length", "attention.head_count")
POSITIVE = ("rope.freq_base", "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon")
SPECIAL_TOKENS = ("bos", "eos", "eot", "eom", "unknown", "padding")


def consistency_problems(header: Header) -> list[Problem]:
    """Return a problem for each key that contradicts the tensors, the tokens or another key."""
    messages = list(_value_problems(header))
    if not messages:  # sizes are compared only if every one of them is a number
        messages = [*_size_problems(header), *_position_problems(header)]
    messages += _vocabulary_problems(header)
    return [Problem(code=Code.FILE_DAMAGED, message=message) for message in messages]


def _value_problems(header: Header) -> Iterator[str]:
    for key, minimum in MIN_VALUES.items():
        value = header.hyperparameter(key)
        if value is None and key not in REQUIRED:
            continue
        if not _is_integer(value) or value < minimum:
            yield (
                f"has {_shown(value)} as {header.architecture}.{key}, which has to be a whole number of at least "
                f"{minimum}; {AGAIN}"
            )
    for key in POSITIVE:
        value = header.hyperparameter(key, 1)
        if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
            yield (
                f"has {_shown(value)} as {header.architecture}.{key}, which has to be a number above 0; {AGAIN}"
            )


def _size_problems(header: Header) -> Iterator[str]:
    embedding, rows = (*header.shapes.get("token_embd.weight", ()), 0, 0)[:2]
    blocks = {name.split(".")[1] for name in header.shapes if name.startswith("blk.")}
    sizes = [("block_count", len(blocks)), ("embedding_length", embedding), ("vocab_size", rows)]
    sizes += [
        ("feed_forward_length", shape[-1])
        for name, shape in header.shapes.items()
        if name.endswith(".ffn_up.weight")
    ]
    for key, size in dict.fromkeys(sizes):
        if (value := header.hyperparameter(key, size)) != size:
            yield f"{header.architecture}.{key} is {value}, but its tensors have {size}; {AGAIN}"
    if blocks != {str(number) for number in range(len(blocks))}:
        yield f"has {len(blocks)} blocks, which are not numbered from 0 up; {AGAIN}"
    yield from _head_problems(header, embedding)


def _head_problems(header: Header, embedding: int) -> Iterator[str]:
    heads = header.hyperparameter("attention.head_count")
    key_heads = header.hyperparameter("attention.head_count_kv", heads)
    queries = {s[-1] for n, s in header.shapes.items() if n.endswith(".attn_q.weight")}
    width = max(queries, default=embedding)
    size = width // heads
    if width % heads or heads % key_heads:
        yield (
            f"has {heads} heads and {key_heads} key heads, which do not divide queries of {width} numbers; {AGAIN}"
        )
        return
    for key in ("attention.key_length", "rope.dimension_count"):
        if (value := header.hyperparameter(key, size)) != size:
            name = f"{header.architecture}.{key}"
            yield f"{name} is {value}, but {heads} heads of {width} numbers have {size} each; {AGAIN}"
    for name, shape in header.shapes.items():
        if name.endswith((".attn_k.weight", ".attn_v.weight")) and shape[-1] != key_heads * size:
            need = f"{key_heads} key heads need {key_heads * size}"
            yield f"{name} has {shape[-1]} rows, but {need}; {AGAIN}"
            return


def _position_problems(header: Header) -> Iterator[str]:
    """Yield a problem if learned positions, as GPT-2 has them, are fewer than the context."""
    context = header.hyperparameter("context_length", 0)
    rows = header.shapes.get("position_embd.weight", (context,))[-1]
    if context > rows:
        yield f"reads {context} tokens by its context_length, but has {rows} positions; {AGAIN}"


def context_limit(header: Header, max_tokens: int | None) -> tuple[int, list[Problem]]:
    """Return the number of tokens that the model is to read by its context length, or 0 and the problem with it."""
    context = header.hyperparameter("context_length", 0)
    if not _is_integer(context):
        return 0, []  # one of the value problems
    if not context:
        message = f"has no context_length, the number of tokens that it reads; {AGAIN}"
        return 0, [Problem(code=Code.LENGTH_MISSING, message=message)]
    if context > 0 and (problem := limit_problem(max_tokens, context)):
        return 0, [problem]
    if not max_tokens and context > MAX_TRUSTED_LIMIT:
        message = (
            f"has {context} as its context_length, more than the {MAX_TRUSTED_LIMIT} tokens that a file is trusted "
            "with; give max_tokens in its tier's table"
        )
        return 0, [Problem(code=Code.LENGTH_MISSING, message=message)]
    return max_tokens or context, []


def _vocabulary_problems(header: Header) -> Iterator[str]:
    tokens = header.keys.get("tokenizer.ggml.tokens")
    rows = header.shapes.get("token_embd.weight", (0, 0))[-1]
    if not isinstance(tokens, list) or not tokens or not rows:
        yield f"has no tokens or no embedding of them; {AGAIN}"
    elif not all(isinstance(token, str) for token in tokens):
        yield f"has tokens that are not text; {AGAIN}"
    elif len(tokens) > rows:
        yield f"has {len(tokens)} tokens, but the embedding has {rows} rows; convert it again"
    elif len(set(tokens)) < len(tokens):
        yield f"has a token twice; {AGAIN}"
    else:
        yield from _token_problems(header, tokens)


def _token_problems(header: Header, tokens: list[str]) -> Iterator[str]:
    for name in SPECIAL_TOKENS:
        place = header.keys.get(f"tokenizer.ggml.{name}_token_id")
        if place is not None and not (_is_integer(place) and 0 <= place < len(tokens)):
            yield f"has {_shown(place)} as its {name} token, of {len(tokens)} from 0 up; {AGAIN}"
        if place is None and adds_token(header, name):
            yield f"adds a {name} token to each text, but has no {name}_token_id; {AGAIN}"
    byte_level = header.keys.get("tokenizer.ggml.model") == "gpt2"
    for key, kinds in (("token_type", int), ("scores", int | float)):
        values = header.keys.get(f"tokenizer.ggml.{key}")
        if values is None and byte_level:  # which needs neither
            continue
        if (
            not isinstance(values, list)
            or len(values) != len(tokens)
            or not all(isinstance(value, kinds) for value in values)
        ):
            yield f"has no list of {len(tokens)} numbers, one for each token, as {key}; {AGAIN}"
    if byte_level:
        yield from _merge_problems(header.keys.get("tokenizer.ggml.merges"), set(tokens))


def adds_token(header: Header, name: str) -> bool:
    """Return whether the tokenizer adds that token to each text; llama.cpp's default is "bos" for SentencePiece."""
    default = name == "bos" and header.keys.get("tokenizer.ggml.model") == "llama"
    return bool(header.keys.get(f"tokenizer.ggml.add_{name}_token", default))


def _merge_problems(merges: Any, tokens: set[str]) -> Iterator[str]:
    """Yield a problem unless each merge is two tokens with a space between, which together make a third."""
    if not isinstance(merges, list):
        yield f"has no merges, by which BPE makes its tokens; {AGAIN}"
        return
    for merge in merges:
        pair = merge.split(" ", 1) if isinstance(merge, str) else []
        if len(pair) != 2 or not {*pair, "".join(pair)} <= tokens:
            yield f"has the merge {_shown(merge)}, which does not make a token of two others; {AGAIN}"
            return


def _is_integer(value: Any) -> bool:
    # A GGUF boolean is read as Python's, which is an int too.
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:40]
