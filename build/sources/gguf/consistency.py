"""Whether the keys of a GGUF file fit its tensors and its words, told before anything is made of their size."""

import math
from collections.abc import Iterator
from typing import Any

from build.sources.gguf.header import Header
from build.sources.huggingface.folder import NO_LIMIT
from contracts.problems import Code, Problem

AGAIN = "convert it again with llama.cpp"
WORDS = "tokenizer.ggml.tokens"
# Keys that a model's own numbers have, and how many these are at least.
NUMBERS = {
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
NEEDED = ("block_count", "embedding_length", "feed_forward_length", "attention.head_count")
FRACTIONS = ("rope.freq_base", "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon")
TOKENS = ("bos", "eos", "eot", "eom", "unknown", "padding")


def unfit(header: Header) -> list[Problem]:
    """Everything that does not fit together, as far as can be told."""
    found = list(_wrong_numbers(header))
    if not found:
        found = [*_wrong_sizes(header), *_wrong_context(header)]
    found += _wrong_words(header)
    return [Problem(code=Code.FILE_DAMAGED, message=message) for message in found]


def _wrong_numbers(header: Header) -> Iterator[str]:
    for key, least in NUMBERS.items():
        value = header.of_model(key)
        if value is None and key not in NEEDED:
            continue
        if not _is_whole(value) or value < least:
            yield (
                f"has {_shown(value)} as {header.architecture}.{key}, where a whole number of at least {least} has to "
                f"be; {AGAIN}"
            )
    for key in FRACTIONS:
        value = header.of_model(key, 1)
        if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
            yield (
                f"has {_shown(value)} as {header.architecture}.{key}, where a number above 0 has to be; {AGAIN}"
            )


def _wrong_sizes(header: Header) -> Iterator[str]:
    """Where a key says another size than a tensor has."""
    embedding, rows = (*header.shapes.get("token_embd.weight", ()), 0, 0)[:2]
    blocks = {name.split(".")[1] for name in header.shapes if name.startswith("blk.")}
    known = [("block_count", len(blocks)), ("embedding_length", embedding), ("vocab_size", rows)]
    known += [
        ("feed_forward_length", shape[-1])
        for name, shape in header.shapes.items()
        if name.endswith(".ffn_up.weight")
    ]
    for key, size in dict.fromkeys(known):
        if header.of_model(key, size) != size:
            said = f"{header.architecture}.{key} says {header.of_model(key)}"
            yield f"{said}, but by its tensors it is {size}; {AGAIN}"
    if blocks != {str(number) for number in range(len(blocks))}:
        yield f"lacks some of its blocks: it has {len(blocks)}, not numbered from 0 up; {AGAIN}"
    yield from _wrong_heads(header, embedding)


def _wrong_heads(header: Header, embedding: int) -> Iterator[str]:
    heads = header.of_model("attention.head_count")
    keys = header.of_model("attention.head_count_kv", heads)
    queries = {s[-1] for n, s in header.shapes.items() if n.endswith(".attn_q.weight")}
    width = max(queries, default=embedding)
    size = width // heads
    if width % heads or heads % keys:
        yield (
            f"has {heads} heads and {keys} of keys for queries of {width} numbers, which they do not divide; {AGAIN}"
        )
        return
    for key in ("attention.key_length", "rope.dimension_count"):
        if header.of_model(key, size) != size:
            said = f"{header.architecture}.{key} says {header.of_model(key)}"
            yield f"{said}, but {heads} heads of {width} numbers have {size} each; {AGAIN}"
    for name, shape in header.shapes.items():
        if name.endswith((".attn_k.weight", ".attn_v.weight")) and shape[-1] != keys * size:
            yield f"{name} makes {shape[-1]} numbers, but {keys} heads have {keys * size}; {AGAIN}"
            return


def _wrong_context(header: Header) -> Iterator[str]:
    """Where positions have vectors of their own, there are as many as the file says."""
    context = header.of_model("context_length", 0)
    rows = header.shapes.get("position_embd.weight", (context,))[-1]
    if context > rows:
        yield f"says that it reads {context} tokens, but has {rows} positions; {AGAIN}"


def limit_of(header: Header, asked: int | None) -> tuple[int, list[Problem]]:
    """How many tokens are read, and what is wrong with that number."""
    context = header.of_model("context_length", 0)
    if not _is_whole(context):
        return 0, []  # which is told with the others
    if not context:
        message = f"says nowhere how many tokens it reads; {AGAIN}"
        return 0, [Problem(code=Code.LENGTH_MISSING, message=message)]
    if asked and asked > context > 0:
        message = f"reads {context} tokens at most, but max_tokens asks for {asked}; lower it"
        return 0, [Problem(code=Code.LENGTH_INVALID, message=message)]
    if not asked and context > NO_LIMIT:
        message = (
            f"says that it reads {context} tokens, more than the {NO_LIMIT} that are taken at their word; "
            "give max_tokens in its tier's table"
        )
        return 0, [Problem(code=Code.LENGTH_MISSING, message=message)]
    return asked or context, []


def _wrong_words(header: Header) -> Iterator[str]:
    words = header.keys.get(WORDS)
    rows = header.shapes.get("token_embd.weight", (0, 0))[-1]
    if not isinstance(words, list) or not words or not rows:
        yield f"has no tokens or no embedding of them; {AGAIN}"
    elif not all(isinstance(word, str) for word in words):
        yield f"has tokens that are no texts; {AGAIN}"
    elif len(words) > rows:
        yield f"has {len(words)} tokens, but the embedding has {rows} rows; convert it again"
    elif len(set(words)) < len(words):
        yield f"names a token twice; {AGAIN}"
    else:
        yield from _wrong_tokens(header, words)


def _wrong_tokens(header: Header, words: list[str]) -> Iterator[str]:
    """What is said of the words by their numbers, or in their order."""
    for name in TOKENS:
        token = header.keys.get(f"tokenizer.ggml.{name}_token_id")
        if token is not None and not (_is_whole(token) and 0 <= token < len(words)):
            yield f"has {_shown(token)} as its {name} token, of {len(words)} from 0 up; {AGAIN}"
    bytewise = header.keys.get("tokenizer.ggml.model") == "gpt2"
    for key, kinds, needed in (
        ("token_type", int, not bytewise),
        ("scores", int | float, not bytewise),
    ):
        values = header.keys.get(f"tokenizer.ggml.{key}")
        if values is None and not needed:
            continue
        if (
            not isinstance(values, list)
            or len(values) != len(words)
            or not all(isinstance(value, kinds) for value in values)
        ):
            yield f"has no number for each of its {len(words)} tokens as {key}; {AGAIN}"
    if bytewise:
        yield from _wrong_merges(header.keys.get("tokenizer.ggml.merges"), set(words))


def _wrong_merges(merges: Any, words: set[str]) -> Iterator[str]:
    """Two tokens with a space between, which make a third."""
    if not isinstance(merges, list):
        yield f"has no merges, which tell how its tokens are made; {AGAIN}"
        return
    for merge in merges:
        parts = merge.split(" ", 1) if isinstance(merge, str) else []
        if len(parts) != 2 or not {*parts, "".join(parts)} <= words:
            yield f"merges {_shown(merge)}, which are not two of its tokens that make one; {AGAIN}"
            return


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:40]
