"""The parts of a set share no text, whatever its files repeat."""

from pathlib import Path

from benchmarks.routing.sets import GATE_ROWS, TextSet, parts
from examples.rows import Row


def rows(first: int, count: int) -> list[Row]:
    return [Row(text=f"text {i}", label=str(i % 3)) for i in range(first, first + count)]


def test_the_parts_of_a_set_share_no_text() -> None:
    text_set = TextSet(
        title="any",
        # Twice the same rows, of which some are also routed.
        training=lambda data: rows(0, 1000) * 2,
        evaluation=lambda data: [*rows(900, 200), *rows(900, 10)],
        rows=500,
        epochs=1,
    )
    found = parts(text_set, Path())
    texts = [{row.text for row in part} for part in (found.training, found.gate, found.routed)]
    assert [len(part) for part in texts] == [500, GATE_ROWS, 200]
    assert len(set.union(*texts)) == 1000
    assert parts(text_set, Path()) == found
