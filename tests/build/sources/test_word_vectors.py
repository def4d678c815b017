"""Files of word vectors: recognised by content, read as gensim and fastText do, refused if they are damaged."""

import codecs
import gzip
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from build.errors import MAX_PROBLEMS
from build.sources.readers import inspect
from build.sources.source import Unusable
from build.sources.vectors.source import layout_of, load
from build.sources.vectors.table import FASTTEXT, GLOVE, WORD2VEC_BINARY, WORD2VEC_TEXT
from contracts.problems import Code
from contracts.tasks import Task
from tests.fixtures.models.sources import assert_refused
from tests.fixtures.models.word_files import (
    TINY,
    as_binary,
    as_fasttext,
    as_text,
    by_gensim,
    trained,
)
from tests.fixtures.problems import assert_problems

# Without the time of day: processes that share the tests have to collect the same parameters.
packed = partial(gzip.compress, mtime=0)
NGRAMS = [(0.1 * i, -0.2, 0.3, 0.05 * i) for i in range(16)]


@pytest.mark.filterwarnings("ignore:Exception ignored in")  # gensim leaves a file open
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("EN.1-10.cbow1_wind5_hs0_neg10_size300_smpl1e-05.txt", WORD2VEC_TEXT),
        ("crime-and-punishment.vec", WORD2VEC_TEXT),
        ("test_glove.txt", GLOVE),
        ("euclidean_vectors.bin", WORD2VEC_BINARY),
        ("lee_fasttext_new.bin", FASTTEXT),
    ],
)
def test_a_trained_file_is_read_as_gensim_reads_it(name: str, kind: str) -> None:
    path = trained(name)
    if kind == FASTTEXT:
        theirs = by_gensim(path, fasttext=True)
    else:
        theirs = by_gensim(path, binary=kind == WORD2VEC_BINARY, no_header=kind == GLOVE)
    ours = load(path)
    assert layout_of(path).kind == kind
    assert list(ours.words) == theirs.index_to_key
    # gensim splits the mark for the end of a text into n-grams, fastText does not: the next test.
    rows = [i for i, word in enumerate(ours.words) if word != "</s>"]
    assert np.abs(ours.table[rows] - theirs.vectors[rows]).max() < 1e-6


@pytest.mark.parametrize("name", ["crime-and-punishment", "toy-model"])
def test_words_of_a_fasttext_model_are_those_that_fasttext_wrote_beside_it(name: str) -> None:
    model, written = load(trained(f"{name}.bin")), load(trained(f"{name}.vec"))
    ours = dict(zip(model.words, model.table, strict=False))
    assert set(written.words) <= set(ours)
    for word, row in zip(written.words, written.table, strict=True):
        assert np.abs(ours[word] - row).max() < 1e-5, word


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (as_text(TINY), GLOVE),
        (as_text(TINY).replace(b"\n", b" \r\n"), GLOVE),
        (as_text(TINY)[:-1], GLOVE),
        (as_text(TINY, header=True), WORD2VEC_TEXT),
        (packed(as_text(TINY, header=True)), WORD2VEC_TEXT),
        (as_binary(TINY), WORD2VEC_BINARY),
        (as_binary(TINY, ends=False), WORD2VEC_BINARY),
        (as_fasttext(TINY), FASTTEXT),
        (as_fasttext(TINY, version=11), FASTTEXT),
    ],
)
def test_a_small_file_is_read_completely_whatever_its_name(
    tmp_path: Path, content: bytes, kind: str
) -> None:
    path = tmp_path / "vectors.anything"
    path.write_bytes(content)
    found = load(path)
    assert layout_of(path).kind == kind
    assert found.words == tuple(TINY)
    assert np.array_equal(found.table, np.array([*TINY.values()], np.float32))


def test_a_word_may_have_spaces_in_text_but_only_before_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_bytes(b"a 0.1 0.2\n. . . 0.3 0.4\nat mail@host 1 2\n")
    found = load(path)
    assert found.words == ("a", ". . .", "at mail@host")
    assert found.table.tolist() == np.array([[0.1, 0.2], [0.3, 0.4], [1, 2]], np.float32).tolist()


def test_a_fasttext_model_without_ngrams_has_no_buckets(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(as_fasttext(TINY, NGRAMS, longest=0))
    found = load(path)
    assert (found.buckets, len(found.table)) == (0, len(TINY))
    path.write_bytes(as_fasttext(TINY, NGRAMS))
    assert load(path).buckets == len(NGRAMS)


def with_buckets(file: bytes, buckets: int, rows: int = len(TINY) + len(NGRAMS)) -> bytes:
    """Return a fastText file that claims other numbers of n-gram buckets and of vectors."""
    claimed, (size, old) = bytearray(file), (struct.calcsize("<?qq"), len(TINY) + len(NGRAMS))
    struct.pack_into("<i", claimed, 40, buckets)
    matrix = len(file) - 16 * old - size
    struct.pack_into("<q", claimed, matrix + 1, rows)
    return bytes(claimed)


# Rows without a fault, which pack to less than a hundredth.
ZEROS = b"".join(b"%d " % i + b"0 " * 200 + b"\n" for i in range(20_000))
HEADED, GLOVES = as_text(TINY, header=True), as_text(TINY)
BINARY, FAST = as_binary(TINY), as_fasttext(TINY, NGRAMS)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", ("file_damaged", "", "is empty", "copy it again")),
        (b"no vectors at all",
         ("format_unknown", "", "looked for word2vec")),
        ("a 0.1 0.2\n".encode("utf-16"),
         ("format_unknown", "", "looked for")),
        (HEADED.replace(b"6 4", b"7 4"),
         ("file_damaged", "", " 7 words", " 6 rows")),
        (HEADED[: len(HEADED) // 2],
         ("file_damaged", "", " 6 words", " 4 rows")),
        (HEADED.replace(b"6 4", b"6 5"),
         ("file_damaged", "", " 5 numbers", "line 2 has 4")),
        (HEADED.replace(b"6 4", b"9000000000 4"),
         ("file_damaged", "", " 9000000000 words", " 6 rows")),
        (HEADED.replace(b"0.2 0.1 0.4", b"0.2 0.1"),
         ("file_damaged", "line 3", "'queen' has 3 numbers", " 4")),
        (GLOVES.replace(b"0.2 0.1 0.4", b"0.2 0.1 0.4 9"),
         ("file_damaged", "line 2", "'queen 0.8'", "more than 4")),
        (GLOVES.replace(b"-0.4", b"x0.4"),
         ("file_damaged", "line 3", "'man' has b'x0.4'")),
        (GLOVES.replace(b"-0.4", b"nan"),
         ("weights_not_finite", "", "'man'", "not finite")),
        (GLOVES.replace(b"-0.4", b"1e99"),
         ("weights_not_finite", "", "'man'", "not finite")),
        (GLOVES.replace(b"queen", b"king"),
         ("file_damaged", "line 2", "'king'", "on line 1")),
        (GLOVES.replace(b"queen", b"qu\xe9en"),
         ("file_damaged", "line 2", "b'qu\\xe9en'", "UTF-8")),
        (GLOVES.replace(b"queen", b""), ("file_damaged", "line 2", "has no word")),
        (GLOVES + b"\n",
         ("file_damaged", "line 7", "'' has 0 numbers", " 4")),
        (codecs.BOM_UTF8 + HEADED,
         ("format_unsupported", "", "byte order mark")),
        (packed(codecs.BOM_UTF8 + GLOVES),
         ("format_unsupported", "", "byte order mark")),
        (packed(HEADED)[:-20], ("file_damaged", "", "cannot be read (")),
        (packed(ZEROS), ("file_damaged", "", "50 times its size")),
        (packed(BINARY),
         ("format_unsupported", "", "packed binary", "gunzip")),
        (b"a 0.1 " + b"0.2 " * 1_000_000,
         ("format_unknown", "line 1", "1048576 bytes")),
        (BINARY[:-40], ("file_damaged", "", "word 5 of 6", "copy it again")),
        (BINARY + b"king",
         ("file_damaged", "", "after its 6 words")),
        (BINARY.replace(b"6 4", b"9000000000 300"),
         ("file_damaged", "", "9000000000 words of 300 numbers")),
        (BINARY.replace(b"6 4", b"0 4"),
         ("file_damaged", "", "0 words of 4 numbers")),
        (BINARY.replace(b"queen", b"king"),
         ("file_damaged", "", "word 2, 'king',", "twice")),
        (BINARY.replace(b"queen", b"qu\xe9en"),
         ("file_damaged", "", "word 2, b'qu\\xe9en',", "UTF-8")),
        (BINARY.replace(b"queen", b"qu\nen"),
         ("file_damaged", "", "word 2, 'qu\\nen',", "line end")),
        (as_binary({**TINY, "man": (0, float("inf"), 0, 0)}),
         ("weights_not_finite", "", "'man'", "not finite")),
        (FAST[:50], ("file_damaged", "", "within its first bytes")),
        (FAST[:130], ("file_damaged", "", "word 3 of 6")),
        (FAST[:-4], ("file_damaged", "", "within its vectors")),
        (as_fasttext(TINY, NGRAMS, longest=65),
         ("file_damaged", "", " 22 vectors", " 6 words, 16 buckets")),
        (with_buckets(FAST, -7),
         ("file_damaged", "", " 22 vectors", " 6 words, -7 buckets")),
        (with_buckets(FAST, -7, rows=-1),
         ("file_damaged", "", " -1 vectors", " 6 words, -7 buckets")),
        (as_fasttext(TINY, NGRAMS, version=10),
         ("format_unsupported", "", "version 10", "11 and 12")),
        (as_fasttext(TINY, NGRAMS, labels=2),
         ("format_unsupported", "", "classifier of 2 labels")),
        (as_fasttext(TINY, NGRAMS, quantized=True),
         ("format_unsupported", "", "quantized", "(.ftz)")),
        (as_fasttext(TINY, NGRAMS, raw=[b"a", b"b", b"\xff", b"d", b"e", b"f"]),
         ("file_damaged", "", "word 3, b'\\xff',", "UTF-8")),
        (as_fasttext(TINY, [(float("nan"), 0, 0, 0)]),
         ("weights_not_finite", "", "'king'", "not finite")),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_with_the_place_of_its_problem(
    tmp_path: Path, content: bytes, problem: tuple[str, ...]
) -> None:
    path = tmp_path / "vectors.bin"
    path.write_bytes(content)
    with pytest.raises(Unusable) as caught:
        load(path)
    assert_problems(caught.value.problems, problem)


def test_a_wide_first_row_reserves_nothing_for_the_others(tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_bytes(b"a " + b"1 " * 1000 + b"\nb 1" * 2000)
    with pytest.raises(Unusable) as caught:
        load(path)
    assert len(caught.value.problems) == MAX_PROBLEMS
    first = ("file_damaged", "line 2", "'b' has 1 numbers", " 1000")
    assert_problems(caught.value.problems[:1], first)


def test_every_damaged_row_is_reported_up_to_ten(tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_bytes(b"a 0.1 0.2\n" + b"b 0.3\nc 0.1 x\n" * 50)
    with pytest.raises(Unusable) as caught:
        load(path)
    assert len(caught.value.problems) == 10
    assert_problems(
        caught.value.problems[:2],
        ("file_damaged", "line 2", "'b' has 1 numbers", " 2"),
        ("file_damaged", "line 3", "'c' has b'x'"),
    )


def test_the_kind_and_size_of_a_source_are_read_without_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "vectors.vec"
    path.write_bytes(as_text(TINY, header=True).replace(b"-0.4", b"nan"))
    source, problems = inspect(path, Task.WORD_VECTORS, None)
    assert problems == []
    assert source
    assert (source.kind, source.weight_bytes) == (WORD2VEC_TEXT, path.stat().st_size)
    assert layout_of(path).width == 4
    path.write_bytes(as_text(TINY, header=True))
    other, _ = inspect(path, Task.WORD_VECTORS, None)
    assert other
    assert other.digest != source.digest


def test_only_its_own_task_takes_a_file_of_word_vectors(tmp_path: Path) -> None:
    texts = {"a.vec": "`task` word-vectors", "a.bin": "save the model as safetensors"}
    for name, text in texts.items():
        path = tmp_path / name
        path.write_bytes(as_binary(TINY))
        assert_refused(path, ("format_unknown", text))


def test_a_folder_stands_for_the_one_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("not a file of vectors", "utf-8")
    _, (problem,) = inspect(tmp_path, Task.WORD_VECTORS, None)
    assert (problem.code, problem.where) == (Code.FORMAT_AMBIGUOUS, str(tmp_path))
    assert "no such file" in problem.message
    assert "`source`" in problem.message
    (tmp_path / "a.bin").write_bytes(as_binary(TINY))
    source, _ = inspect(tmp_path, Task.WORD_VECTORS, None)
    assert source
    assert source.path == tmp_path / "a.bin"
    (tmp_path / "b.vec").write_bytes(as_text(TINY))
    _, (problem,) = inspect(tmp_path, Task.WORD_VECTORS, None)
    assert problem.code == Code.FORMAT_AMBIGUOUS
    assert "a.bin, b.vec" in problem.message
    _, (problem,) = inspect(tmp_path / "nowhere", Task.WORD_VECTORS, None)
    assert (problem.code, problem.where) == (Code.FILE_MISSING, f"{tmp_path}/nowhere")
