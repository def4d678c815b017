"""GGUF files that are refused: damaged, or with keys that do not fit what is in them."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from build.errors import ExportFailed
from build.sources.gguf.source import unpack
from build.sources.readers import inspect
from contracts.tasks import Task
from tests.fixtures.models.tiny_decoders import llama
from tests.fixtures.models.tiny_gguf import inspected, write_gguf


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("source") / "llama")


@pytest.fixture(scope="module")
def file(folder: Path) -> Path:
    return write_gguf(folder, folder.parent / "tiny.gguf")


Spoil = Callable[[bytes], bytes]


def number(at: int, form: str, value: Any) -> Spoil:
    """Another number at that place."""
    packed = struct.pack(f"<{form}", value)
    return lambda data: data[:at] + packed + data[at + len(packed) :]


@pytest.mark.parametrize(
    ("spoil", "mistake"),
    [
        (lambda data: b"", "does not begin with GGUF"),
        (lambda data: b"GGML" + data[4:], "does not begin with GGUF"),
        (lambda data: data[:20], "has no readable header"),
        (lambda data: data[:400], "has no readable header"),
        (lambda data: data[:-64], "it is cut short, copy it again"),
        (number(4, "I", 1), "is GGUF of version 1; 2 and 3 are read"),
        (number(4, "I", 3 << 24), "is GGUF of version 50331648"),
        (number(8, "Q", 1 << 60), "has no readable header"),
        (number(16, "Q", 1 << 60), "has no readable header"),
        (number(24, "Q", 1 << 60), "has no readable header"),
    ],
    ids=["empty", "other", "cut in counts", "cut in keys", "cut in weights"]
    + ["old", "big-endian", "tensors", "keys", "text"],
)
def test_a_damaged_file_is_refused(file: Path, tmp_path: Path, spoil: Spoil, mistake: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(spoil(file.read_bytes()))
    source, (found,) = inspected(path)
    assert source is None
    assert mistake in found


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"general.architecture": "mamba"}, "its architecture is mamba; llama, "),
        ({"llama.context_length": None}, "says nowhere how many tokens it reads"),
        ({"llama.rope.scaling.type": "yarn"}, "stretches its positions"),
        ({"tokenizer.ggml.model": "t5"}, "its tokenizer is t5; gpt2 and llama are known"),
        ({"tokenizer.ggml.pre": "tekken"}, "its tokenizer cuts texts as tekken does; known are "),
        ({"tokenizer.ggml.tokens": None}, "has no tokens or no embedding of them"),
        ({"tokenizer.ggml.tokens": ["a", "a"]}, "names a token twice"),
        ({"tokenizer.ggml.tokens": [*map(str, range(999))]}, "999 tokens, but the embedding has "),
        ({"tokenizer.ggml.tokens": [1, 2, 3]}, "has tokens that are no texts"),
        ({"split.count": 3}, "is one part of several"),
        (
            {"llama.context_length": "x"},
            "has 'x' as llama.context_length, where a whole number of at least 0 has",
        ),
        (
            {"llama.context_length": 100_000_000},
            "says that it reads 100000000 tokens, more than the 1000000 that",
        ),
        (
            {"llama.block_count": 4_000_000_000},
            "llama.block_count says 4000000000, but by its tensors it is 2",
        ),
        ({"llama.block_count": 1}, "llama.block_count says 1, but by its tensors it is 2"),
        (
            {"llama.embedding_length": 128},
            "llama.embedding_length says 128, but by its tensors it is 64",
        ),
        (
            {"llama.embedding_length": None},
            "has nothing as llama.embedding_length, where a whole number of at",
        ),
        (
            {"llama.feed_forward_length": 4_000_000_000},
            "llama.feed_forward_length says 4000000000, but by its",
        ),
        ({"llama.vocab_size": 7}, "llama.vocab_size says 7, but by its tensors it is "),
        (
            {"llama.attention.head_count": 0},
            "has 0 as llama.attention.head_count, where a whole number of at least 1",
        ),
        (
            {"llama.attention.head_count": 3},
            "has 3 heads and 2 of keys for queries of 64 numbers, which they do not",
        ),
        (
            {"llama.attention.head_count": 8},
            "llama.rope.dimension_count says 16, but 8 heads of 64 numbers have 8",
        ),
        (
            {"llama.attention.head_count_kv": 4},
            "blk.0.attn_k.weight makes 32 numbers, but 4 heads have 64",
        ),
        (
            {"llama.rope.freq_base": "x"},
            "has 'x' as llama.rope.freq_base, where a number above 0 has to be",
        ),
        ({"general.alignment": 0}, "has 0 as general.alignment, where a multiple of 8 has to be"),
        (
            {"general.alignment": "x"},
            "has 'x' as general.alignment, where a multiple of 8 has to be",
        ),
        ({"tokenizer.ggml.bos_token_id": 4_000_000}, "has 4000000 as its bos token, of "),
        ({"tokenizer.ggml.eos_token_id": "x"}, "has 'x' as its eos token, of "),
        ({"tokenizer.ggml.merges": None}, "has no merges, which tell how its tokens are made"),
        (
            {"tokenizer.ggml.merges": ["never seen"]},
            "merges 'never seen', which are not two of its tokens",
        ),
        ({"tokenizer.ggml.merges": [1]}, "merges 1, which are not two of its tokens that make one"),
        ({"tokenizer.ggml.token_type": [1]}, "tokens as token_type; convert it again"),
        ({"tokenizer.ggml.model": "llama"}, "tokens as scores; convert it again"),
    ],
    ids=str,
)
def test_a_file_that_would_be_read_wrongly_is_refused(
    folder: Path, tmp_path: Path, changes: dict[str, Any], mistake: str
) -> None:
    path = write_gguf(folder, tmp_path / "m.gguf", changes)
    source, mistakes = inspected(path)
    assert source is None
    assert any(mistake in found for found in mistakes)


def test_more_tokens_than_anyone_reads_are_read_where_they_are_asked_for(
    folder: Path, tmp_path: Path
) -> None:
    path = write_gguf(folder, tmp_path / "m.gguf", {"llama.context_length": 100_000_000})
    source, mistakes = inspect(path, Task.TEXT_GENERATION, 64)
    assert mistakes == []
    assert source
    assert source.max_tokens == 64


def test_a_tensor_that_has_no_place_in_the_model_stops_the_build(
    folder: Path, tmp_path: Path
) -> None:
    path = write_gguf(folder, tmp_path / "m.gguf", {"llama.block_count": 1})
    with pytest.raises(ExportFailed, match="has 20 tensors, but transformers finds a place for 11"):
        unpack(path, tmp_path / "unpacked")


def test_a_task_that_no_causal_model_has_is_refused(file: Path) -> None:
    source, (mistake,) = inspected(file, Task.FILL_MASK)
    assert source is None
    assert "fill-mask cannot be built from GGUF" in mistake
