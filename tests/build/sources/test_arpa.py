"""ARPA files: read, refused with the lines at fault, and turned into a graph."""

import gzip
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from build.families.ngram_graph import (
    codebook,
    hash_table,
    ngram_graph,
    tokenizer_of,
    use_codebooks,
)
from build.families.ngram_model import recursion
from build.sources.arpa import parser
from build.sources.formats import ARPA
from build.sources.readers import inspect
from build.sources.source import Unusable
from contracts.problems import Problem
from contracts.tasks import Task
from tests.fixtures.models.sources import assert_refused
from tests.fixtures.models.tiny_ngrams import LITTLE, by_hand, little, log10, random_model
from tests.fixtures.problems import assert_problems

SCORES = Task.LANGUAGE_MODEL_SCORING
TEXTS = ("the train late", "late late late", "train", "the unheard train of 東京", "")


def problems_of(path: Path) -> Sequence[Problem]:
    with pytest.raises(Unusable) as caught:
        parser.read(path)
    return caught.value.problems


def assert_damaged(path: Path, *expected: tuple[str, ...]) -> None:
    """Check that the file is refused as damaged, for each place with texts of the message."""
    assert_problems(problems_of(path), *(("file_damaged", *one) for one in expected))


def session_of(model: Any) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString())


def scored(session: onnxruntime.InferenceSession, ids: Iterable[int]) -> Any:
    (found,) = session.run(None, {"input_ids": np.array([list(ids)], np.int64)})
    return found[0]


@pytest.mark.parametrize("name", ["little.arpa", "little.arpa.gz"])
def test_every_ngram_is_read_packed_or_not(tmp_path: Path, name: str) -> None:
    path = little(tmp_path / name)
    model = parser.read(path)
    assert model.words == ("<unk>", "<s>", "</s>", "the", "train", "late")
    assert [len(order.keys) for order in model.orders] == [6, 5, 2]
    plain = little(tmp_path / "plain.arpa")
    assert {e.words: (e.log10, e.backoff) for e in parser.entries(path)} == by_hand(plain)


def test_windows_line_ends_and_fields_separated_by_tabs_are_read_as_well(tmp_path: Path) -> None:
    text = LITTLE.replace("the train", "the\ttrain").replace("\n", "\r\n")
    model = parser.read(little(tmp_path / "a.arpa", text))
    assert (
        model.orders[1].keys.tolist()
        == parser.read(little(tmp_path / "b.arpa")).orders[1].keys.tolist()
    )


@pytest.mark.parametrize(
    ("old", "new", "problems"),
    [
        ("ngram 2=5", "ngram 2=6", [("line 23", "5 2-grams ", " 6")]),
        ("\\end\\\n", "", [("line 26", "without \\end\\")]),
        ("-0.8\ttrain late\n", "", [
            ("line 22", "4 2-grams ", " 5"),
            ("line 24", "no 2-gram"),
        ]),
        ("-0.8\ttrain", "0.8\ttrain", [("line 19", "log-probability 0.8 ")]),
        ("-0.8\ttrain", "nan\ttrain", [("line 19", "not finite", " -99 ")]),
        ("-0.8\ttrain", "-1e300\ttrain", [
            ("line 19", "-1e+300 ", "32 bits", " -99 ")
        ]),
        ("<s> the\t-0.15", "<s> the\t-1e300", [
            ("line 17", "-1e+300 ", "32 bits", " -99 ")
        ]),
        ("<s> the\t-0.15", "<s> the\t50", [
            ("line 17", "backoff 50 ", " 10")
        ]),
        ("-0.8\ttrain", "x\ttrain", [("line 19", "could not convert string to float: 'x'")]),
        ("train late\n-0.6", "train tard\n-0.6", [("line 19", "'tard'", "1-grams")]),
        ("-0.5\t<s> the\t-0.15", "-0.5\t<s>", [
            ("line 17", "2 fields", "2-gram", "2 words")
        ]),
        ("-0.2\t<s> the train", "-0.2\t<s> the train\t-1", [
            ("line 24", "5 fields", "3-gram", "3 words")
        ]),
        ("-0.6\tlate </s>", "-0.6\tthe train", [("line 20", "same n-gram")]),
        ("-0.9\ttrain", "-0.9\tthe", [("line 13", "'the'", "twice")]),
        ("-2.0\t<unk>", "-2.0\tunk", [
            ("line 16",
             "no <unk>", "-7")
        ]),
        ("\t</s>\n", "\tsss\n",
         [("line 16", "no </s>")]),
        ("\\2-grams:", "\\4-grams:", [("line 16", "'\\\\4-grams:'", "\\2-grams:")]),
        ("\\end\\", "\\4-grams:", [("line 27", "'\\\\4-grams:'", "\\end\\")]),
        ("\\data\\", "", [("line 8", "\\1-grams: before \\data\\")]),
        ("ngram 1=6\n", "", [("line 4", "ngram 2:", "to 6")]),
        ("ngram 1=6\nngram 2=5\nngram 3=2\n", "", [("line 5", "\\data\\", "ngram 1=5000")]),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 24 else "",
)  # fmt: skip
def test_a_problem_is_reported_with_its_line(
    tmp_path: Path, old: str, new: str, problems: list[tuple[str, ...]]
) -> None:
    assert old in LITTLE
    path = little(tmp_path / "damaged.arpa", LITTLE.replace(old, new, 1))
    assert_damaged(path, *problems)


def test_problems_are_reported_together_and_ten_at_most(tmp_path: Path) -> None:
    text = LITTLE.replace("-0.6\tlate", "0.6\tlate").replace("-0.3\tlate", "0.3\tlate")
    assert_damaged(
        little(tmp_path / "two.arpa", text),
        ("line 20", "log-probability 0.6 "),
        ("line 21", "log-probability 0.3 "),
    )
    many = LITTLE.replace("\n-", "\n")
    many = many.replace("\\1-grams:\n", "\\1-grams:\n" + "1 word\n" * 20)
    found = problems_of(little(tmp_path / "many.arpa", many))
    assert len(found) == 11
    assert_problems(found[-1:], ("file_damaged", "", "correct these first"))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.arpa"
    path.write_bytes(LITTLE.replace("late", "spät").encode("latin-1"))
    assert_damaged(path, ("line 14", "not UTF-8 text at byte 7", "save it as UTF-8"))
    path.write_bytes(b"")
    assert_damaged(path, ("line 0", "the file ends without"))
    path.write_bytes(b"x" * 100_000)
    longer = ("format_unknown", "line 1", "longer than 65536 bytes", "correct `source`")
    assert_problems(problems_of(path), longer)


def test_a_gzipped_file_that_is_truncated_or_swells_is_refused(tmp_path: Path) -> None:
    path = little(tmp_path / "cut.arpa.gz")
    path.write_bytes(path.read_bytes()[:-20])
    (found,) = problems_of(path)
    assert found.code == "file_damaged"
    assert "cannot be read (" in found.message
    path.write_bytes(gzip.compress((b"-" * 60_000 + b"\n") * 300))
    (found,) = problems_of(path)
    assert found.code == "file_damaged"
    assert "50 times its size" in found.message
    path.write_bytes(b"no gzip at all")
    (found,) = problems_of(path)
    assert found.code == "file_damaged"
    assert "(Not a gzipped file" in found.message


def test_a_source_has_its_kind_and_refuses_other_tasks(tmp_path: Path) -> None:
    path = little(tmp_path / "little.arpa.gz")
    source, problems = inspect(path, SCORES, None)
    assert source
    assert (problems, source.kind, source.max_tokens) == ([], ARPA, 1024)
    words, order = parser.read_words(path)
    assert (len(words), order) == (6, 3)
    for task, tokens, problem in (
        (Task.TEXT_GENERATION, None, ("task_unsupported", "text-generation", "n-grams")),
        (SCORES, 5, ("length_invalid", "max_tokens 5", "twice its order, 3", "raise it")),
    ):
        assert_refused(path, problem, task=task, max_tokens=tokens)


def test_a_score_is_what_a_person_computes(tmp_path: Path) -> None:
    path = little(tmp_path / "little.arpa")
    model = parser.read(path)
    tokenizer = tokenizer_of(model.words)
    encoding = tokenizer.encode("the train late late of")
    assert encoding.tokens == ["<s>", "the", "train", "late", "late", "<unk>", "</s>"]
    found = scored(session_of(ngram_graph(model)), encoding.ids) / np.log(10)
    # the; train after both; late with the weights of "the train"; late after "train late", whose weight is 0;
    # <unk> with those of "late late" and "late"; </s> with none, for nothing begins with <unk>.
    wanted = [-0.5, -0.2, -0.25 - 0.8, -0.3, 0.10 - 0.05 - 2.0, -1.2]
    assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("order", "words", "density"), [(1, 9, 1), (2, 40, 0.2), (4, 11, 0.3), (6, 5, 0.4)]
)
def test_the_graph_is_the_recursion_for_any_order(
    tmp_path: Path, order: int, words: int, density: float
) -> None:
    path = tmp_path / "random.arpa"
    names = random_model(path, order, words, density)
    model, known = parser.read(path), by_hand(path)
    tokenizer, session = tokenizer_of(model.words), session_of(ngram_graph(model))
    chance = random.Random(7)
    texts = [[chance.choice([*names, "strange"]) for _ in range(i % 13)] for i in range(150)]
    tokens = [tuple(tokenizer.encode(" ".join(text)).tokens) for text in texts]
    reference = recursion(path, tokens)
    for text, seen in zip(texts, tokens, strict=True):
        found = scored(session, tokenizer.encode(" ".join(text)).ids)
        grams = [seen[max(0, i - order + 1) : i + 1] for i in range(1, len(seen))]
        wanted = np.array([log10(known, gram) for gram in grams]) * np.log(10)
        assert reference(seen) == pytest.approx(wanted.tolist(), abs=1e-12)
        assert np.abs(found - wanted).max() < 1e-5


def test_the_graph_has_the_scores_of_pocketsphinx(tmp_path: Path) -> None:
    """pocketsphinx rounds each score to a whole logarithm to the base 1.0001."""
    import pocketsphinx

    path = tmp_path / "random.arpa"
    names = random_model(path, 3, 20, 0.5, closed=True)
    base = pocketsphinx.LogMath(1.0001)
    theirs = pocketsphinx.NGramModel(pocketsphinx.Config(), base, str(path))
    model = parser.read(path)
    tokenizer, session = tokenizer_of(model.words), session_of(ngram_graph(model))
    chance = random.Random(3)
    for _ in range(100):
        encoding = tokenizer.encode(" ".join(chance.choice(names) for _ in range(8)))
        seen = encoding.tokens
        wanted = [
            theirs.prob(seen[max(0, i - 2) : i + 1][::-1]) * np.log(1.0001)
            for i in range(1, len(seen))
        ]
        assert scored(session, encoding.ids) == pytest.approx(wanted, abs=5e-4)


@pytest.mark.parametrize("limit", [60, 1 << 20, 1 << 40, 1 << 52])
def test_a_table_finds_what_is_in_it_and_nothing_else(limit: int) -> None:
    random_ = np.random.default_rng(0)
    keys = np.unique(random_.integers(0, limit, 5000)) if limit > 5000 else np.arange(0, limit, 3)
    table = hash_table(keys, limit)
    others = np.setdiff1d(random_.integers(0, limit, 20_000), keys)
    for wanted, there in ((keys, True), (others, False)):
        hashes = wanted * table.multiplier % (1 << table.bits)
        bucket, rest = hashes >> table.rest_bits, hashes & ((1 << table.rest_bits) - 1)
        places = table.starts[bucket][:, None] + np.arange(table.slots)
        hit = (table.rests[places] == rest[:, None]) & (places < table.starts[bucket + 1][:, None])
        assert hit.sum(axis=1).tolist() == [int(there)] * len(wanted)
        if there:
            assert table.order[(hit * places).sum(axis=1)].tolist() == list(range(len(keys)))


def test_few_values_keep_their_own_codes_and_many_share_256(tmp_path: Path) -> None:
    few = np.array([0.0, -1.5, 0.25, -1.5], np.float32)
    book, codes = codebook(few)
    assert book[codes].tolist() == few.tolist()
    many = np.append(np.random.default_rng(0).normal(-3, 1, 100_000), [0.0] * 9).astype(np.float32)
    book, codes = codebook(many)
    assert (len(book), str(codes.dtype)) == (256, "uint8")
    assert (book[codes][-9:] == 0).all()
    assert np.abs(book[codes] - many).max() < (many.max() - many.min()) / 255
    far = np.append(many, np.float32(-228))  # the probability of <s>, which nothing but <s> has
    book, codes = codebook(far)
    assert book[codes][-1] == far[-1]
    assert np.abs(book[codes] - far).max() < (many.max() - many.min()) / 250
    path = tmp_path / "random.arpa"
    random_model(path, 3, 30, 0.3)
    model = ngram_graph(parser.read(path))
    exact, ids = session_of(model), [1, 7, 9, 4, 11, 2]
    size = model.ByteSize()
    use_codebooks(model.graph)
    assert model.ByteSize() < size
    assert scored(session_of(model), ids) == pytest.approx(scored(exact, ids).tolist(), abs=0.03)
