"""The example's rows: enough of them, varied, and none of the evaluation rows among those of training."""

import json
import re
from collections import Counter

import pytest

from examples.rows import HERE, OUT_OF_SCOPE, TWO_TIERS, Row, read

TRAIN, EVAL = read("train"), read("eval")
GATE, CALIBRATION = read("gate", TWO_TIERS), read("calibration", TWO_TIERS)
HELD_OUT = {"eval": EVAL, "gate": GATE, "calibration": CALIBRATION}
EVERYTHING = [*TRAIN, *EVAL, *GATE, *CALIBRATION]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower().replace("'", ""))


def trigrams(text: str) -> set[str]:
    """Character trigrams of the bare words: typos and punctuation leave most of them alone."""
    bare = f" {' '.join(words(text))} "
    return {bare[i : i + 3] for i in range(len(bare) - 2)}


def likeness(a: set[str], b: set[str]) -> float:
    """Jaccard similarity: 1 for the same trigrams, 0 for none in common."""
    return len(a & b) / len(a | b)


def is_near(a: set[str], b: set[str]) -> bool:
    """Return true for a likeness of more than 0.7, which sets of too different a size do not reach."""
    shorter, longer = sorted((len(a), len(b)))
    return shorter > 0.7 * longer and likeness(a, b) > 0.7


@pytest.mark.parametrize(
    ("rows", "min_rows"),
    [(TRAIN, 40), (EVAL, 20), (GATE, 10), (CALIBRATION, 35)],
    ids=["train", "eval", "gate", "calibration"],
)
def test_every_intent_has_enough_rows(rows: list[Row], min_rows: int) -> None:
    counts = Counter(row.label for row in rows)
    assert set(counts) == {row.label for row in EVERYTHING}
    assert len(set(counts) - {OUT_OF_SCOPE}) >= 15
    assert {label: count for label, count in counts.items() if count < min_rows} == {}


def test_no_text_occurs_twice() -> None:
    counts = Counter(" ".join(words(row.text)) for row in EVERYTHING)
    assert [text for text, count in counts.items() if count > 1] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", HELD_OUT)
def test_no_held_out_row_is_nearly_a_training_row(name: str) -> None:
    seen = [(row.text, trigrams(row.text)) for row in TRAIN]
    held_out = [(row.text, trigrams(row.text)) for row in HELD_OUT[name]]
    near = [(a, b) for a, these in held_out for b, those in seen if is_near(these, those)]
    assert near == []


def test_the_check_for_near_duplicates_catches_a_typo_and_a_changed_ending() -> None:
    text = "where is my parcel, it was due on tuesday"
    for other in (
        "wher is my parcel, it was due on Tuesday!!",
        "Where's my parcel, it was due on tuesday?",
    ):
        assert likeness(trigrams(text), trigrams(other)) > 0.7
    assert likeness(trigrams(text), trigrams("my package should have come on monday")) < 0.3


def test_rows_are_short_and_long() -> None:
    lengths = [len(words(row.text)) for row in EVERYTHING]
    assert min(lengths) <= 2
    assert max(lengths) >= 30
    assert sum(length <= 4 for length in lengths) >= len(lengths) // 20
    assert sum(length >= 20 for length in lengths) >= len(lengths) // 20


def test_no_single_word_of_its_name_gives_a_label_away() -> None:
    """Rows that all repeat their label's own word would be labelled by a search for it."""
    for label in {row.label for row in EVERYTHING} - {OUT_OF_SCOPE}:
        rows = [row for row in EVERYTHING if row.label == label]
        for word in label.split("-"):
            assert sum(word in words(row.text) for row in rows) < 0.8 * len(rows), (label, word)


def test_the_texts_for_the_embeddings_are_distinct_and_of_all_lengths() -> None:
    lines = (HERE.parent / "sentence-embedding/eval.jsonl").read_text("utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    assert len(set(texts)) == len(texts) >= 200
    assert min(len(text) for text in texts) < 20
    assert max(len(text) for text in texts) > 400
