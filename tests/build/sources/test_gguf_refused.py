"""GGUF files that are refused: damaged, or with keys that contradict what is in them."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from build.sources.gguf.source import unpack
from build.sources.readers import inspect
from contracts.tasks import Task
from tests.fixtures.models.sources import assert_refused
from tests.fixtures.models.tiny_decoders import llama
from tests.fixtures.models.tiny_gguf import write_gguf
from tests.fixtures.problems import assert_problems, raises

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("source") / "llama")


@pytest.fixture(scope="module")
def file(folder: Path) -> Path:
    return write_gguf(folder, folder.parent / "tiny.gguf")


Damage = Callable[[bytes], bytes]


def number(at: int, form: str, value: Any) -> Damage:
    """Return what writes another number at that place."""
    packed = struct.pack(f"<{form}", value)
    return lambda data: data[:at] + packed + data[at + len(packed) :]


def with_value(kind: int, value: bytes, count: int = 1) -> Damage:
    """Return what makes a header of one key, `count` times, with a value of that type; no tensors follow."""
    key = struct.pack("<Q1sI", 1, b"k", kind) + value
    return lambda _: b"GGUF" + struct.pack("<IQQ", 3, 0, count) + key * count


def with_tensor(dimensions: int, rest: bytes) -> Damage:
    """Return what makes a header of one tensor, whose sizes, type and offset are the rest."""
    tensor = struct.pack("<Q1sI", 1, b"t", dimensions) + rest
    return lambda _: b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + tensor + bytes(64)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda data: b"", ("file_damaged", "does not begin with GGUF")),
        (lambda data: b"GGML" + data[4:], ("file_damaged", "does not begin with GGUF")),
        (lambda data: data[:20], ("file_damaged", "has no readable header")),
        (lambda data: data[:400], ("file_damaged", "has no readable header")),
        (lambda data: data[:-64], ("file_damaged", "cut short")),
        (number(4, "I", 1), ("format_unsupported", "version 1", "2 and 3")),
        (number(4, "I", 3 << 24), ("format_unsupported", "version 50331648")),
        (number(8, "Q", 1 << 60), ("file_damaged", "has no readable header")),
        (number(16, "Q", 1 << 60), ("file_damaged", "has no readable header")),
        (number(24, "Q", 1 << 60), ("file_damaged", "has no readable header")),
        (with_value(4, b""), ("file_damaged", "header (1 elements in 0 bytes)")),
        (with_value(77, bytes(8)), ("file_damaged", "header (a value of type 77)")),
        (with_value(9, struct.pack("<IQ", 0, 1 << 60)), ("file_damaged", "(1152921504606846976 elements in ")),
        (with_value(9, struct.pack("<IQ", 8, 1 << 60)), ("file_damaged", "(1152921504606846976 elements in ")),
        (with_value(9, struct.pack("<IQ", 9, 1) * 5000),
         ("file_damaged", "header (a value of type 9)")),
        (with_value(4, bytes(4), count=2), ("file_damaged", "header (", "key", "twice")),
        (with_tensor(1 << 31, b""), ("file_damaged", "tensor 't'", "2147483648 dimensions")),
        (with_tensor(0, b""), ("file_damaged", "tensor 't'", "0 dimensions")),
        (with_tensor(1, struct.pack("<QIQ", 4, 0, 1 << 40)), ("file_damaged", "cut short")),
        (with_tensor(2, struct.pack("<2QIQ", 1 << 33, 1 << 33, 0, 0)), ("file_damaged", "cut short")),
        (with_tensor(1, struct.pack("<QIQ", 4, 99, 0)), ("format_unsupported", "t is of type 99")),
        (with_tensor(1, struct.pack("<QIQ", 5, 8, 0)), ("file_damaged", "rows of 5 in t", "blocks of 32")),
    ],
    ids=["empty", "other", "cut in counts", "cut in keys", "cut in weights"]
    + ["old", "big-endian", "tensors", "keys", "text"]
    + ["value cut", "value type", "long array", "long array of texts", "nested arrays"]
    + ["key twice", "many dimensions", "no dimensions", "offset", "size beyond 64 bits"]
    + ["tensor type", "rows in parts of blocks"],
)  # fmt: skip
def test_a_damaged_file_is_refused(
    file: Path, tmp_path: Path, damage: Damage, problem: tuple[str, ...]
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(damage(file.read_bytes()))
    assert_refused(path, problem, task=Task.TEXT_GENERATION)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"general.architecture": "mamba"}, ("architecture_unsupported", " mamba", "llama, ")),
        ({"llama.context_length": None},
         ("length_missing", "no context_length")),
        ({"llama.rope.scaling.type": "yarn"}, ("architecture_unsupported", "rotary")),
        ({"tokenizer.ggml.model": "t5"}, ("tokenizer_unsupported", "tokenizer is t5", "gpt2 and llama")),
        ({"tokenizer.ggml.pre": "tekken"}, ("tokenizer_unsupported", "pre-tokenizer is tekken")),
        ({"tokenizer.ggml.tokens": None}, ("file_damaged", "no tokens")),
        ({"tokenizer.ggml.tokens": ["a", "a"]}, ("file_damaged", "has a token twice")),
        ({"tokenizer.ggml.tokens": [*map(str, range(999))]}, ("file_damaged", "999 tokens", "the embedding has ")),
        ({"tokenizer.ggml.tokens": [1, 2, 3]}, ("file_damaged", "not text")),
        ({"split.count": 3}, ("format_unsupported", "part of several")),
        ({"llama.context_length": "x"},
         ("file_damaged", "'x' as llama.context_length", "at least 0")),
        ({"llama.context_length": 100_000_000},
         ("length_missing", "100000000 as its context_length", " 1000000 tokens")),
        ({"llama.block_count": 4_000_000_000},
         ("file_damaged", "llama.block_count is 4000000000", "tensors have 2")),
        ({"llama.block_count": 1}, ("file_damaged", "llama.block_count is 1", "its tensors have 2")),
        ({"llama.embedding_length": 128}, ("file_damaged", "llama.embedding_length is 128", "its tensors have 64")),
        ({"llama.embedding_length": None},
         ("file_damaged", "nothing as llama.embedding_length", "at least 1")),
        ({"llama.feed_forward_length": 4_000_000_000},
         ("file_damaged", "llama.feed_forward_length is 4000000000", "its tensors have 96")),
        ({"llama.vocab_size": 7}, ("file_damaged", "llama.vocab_size is 7", "its tensors have ")),
        ({"llama.attention.head_count": 0},
         ("file_damaged", "0 as llama.attention.head_count", "at least 1")),
        ({"llama.attention.head_count": 3},
         ("file_damaged", "3 heads and 2 key heads", " 64 numbers")),
        ({"llama.attention.head_count": 8},
         ("file_damaged", "llama.rope.dimension_count is 16", "8 heads", " 8")),
        ({"llama.attention.head_count_kv": 4},
         ("file_damaged", "blk.0.attn_k.weight has 32 rows", "4 key heads", " 64")),
        ({"llama.rope.freq_base": "x"},
         ("file_damaged", "'x' as llama.rope.freq_base", "above 0")),
        ({"general.alignment": 0}, ("file_damaged", "0 as general.alignment", "multiple of 8")),
        ({"general.alignment": "x"}, ("file_damaged", "'x' as general.alignment", "multiple of 8")),
        ({"tokenizer.ggml.bos_token_id": 4_000_000}, ("file_damaged", "4000000 as its bos token")),
        ({"tokenizer.ggml.eos_token_id": "x"}, ("file_damaged", "'x' as its eos token")),
        ({"tokenizer.ggml.bos_token_id": None},
         ("file_damaged", "no bos_token_id")),
        ({"tokenizer.ggml.merges": None}, ("file_damaged", "no merges")),
        ({"tokenizer.ggml.merges": ["never seen"]},
         ("file_damaged", "merge 'never seen'")),
        ({"tokenizer.ggml.merges": [1]}, ("file_damaged", "merge 1")),
        ({"tokenizer.ggml.token_type": [1]},
         ("file_damaged", "token_type")),
        ({"tokenizer.ggml.model": "llama"},
         ("file_damaged", "scores")),
    ],
    ids=str,
)  # fmt: skip
def test_a_file_with_invalid_keys_is_refused(
    folder: Path, tmp_path: Path, changes: dict[str, Any], problem: tuple[str, ...]
) -> None:
    path = write_gguf(folder, tmp_path / "m.gguf", changes)
    source, problems = inspect(path, Task.TEXT_GENERATION, None)
    code, *texts = problem
    assert source is None
    named = [found for found in problems if all(text in found.message for text in texts)]
    assert_problems(named[:1], (code, path))


def test_a_context_beyond_belief_is_read_up_to_max_tokens(folder: Path, tmp_path: Path) -> None:
    path = write_gguf(folder, tmp_path / "m.gguf", {"llama.context_length": 100_000_000})
    source, problems = inspect(path, Task.TEXT_GENERATION, 64)
    assert problems == []
    assert source
    assert source.max_tokens == 64


def test_a_tensor_that_has_no_place_in_the_model_stops_the_build(
    folder: Path, tmp_path: Path
) -> None:
    path = write_gguf(folder, tmp_path / "m.gguf", {"llama.block_count": 1})
    with raises("export_failed", path, "20 tensors", " 11 "):
        unpack(path, tmp_path / "unpacked")


def test_a_task_that_no_causal_model_has_is_refused(file: Path) -> None:
    assert_refused(file, ("task_unsupported", "fill-mask", "GGUF"), task=Task.FILL_MASK)
