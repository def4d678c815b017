"""The sentences on ours beside other runtimes say what the results say, and the published ones have no empty cell."""

import json
from typing import Any

import pytest

from benchmarks.inference.claims import ABOUT, LIMIT, claim, counts, milliseconds
from benchmarks.record import RESULTS
from benchmarks.tables import of_processors
from tests.fixtures.paths import ROOT

Cells = tuple[float, float, float]
WORKLOADS = ("8 tokens", "32 tokens", "SST-2 dev")


def row(what: str, cells: Cells, *, enough: bool = True) -> dict[str, Any]:
    times = {w: f"{ms:.2f} ({ms:.2f}×)" for w, ms in zip(WORKLOADS, cells, strict=True)}
    return {
        "what": what,
        "same label": "99.60%" if enough else "98.00%",
        "counts": "yes" if enough else "no",
        "readings": 9,
        **times,
    }


def said(*rows: dict[str, Any], threads: int = 1) -> str:
    limit = row(LIMIT, (0.1, 0.1, 0.1))
    return claim(
        [
            {
                "date": "2026-11-27",
                "machine": {"cpu": "A", "instructions": "x86-64 with AVX2"},
                "recipe": "int8",
                "run": {"threads": threads},
                "rows": [*rows, limit],
            }
        ]
    )


def test_the_fastest_at_every_length_is_said_to_be_with_what_the_next_takes() -> None:
    next_one = row("another", (2.0, 4.5, 3.0))
    text = said(row("Turnout", (1.0, 3.0, 2.0)), next_one, row("third", (9.0, 9.0, 9.0)))
    assert text == (
        "- **One thread of an A with AVX2** (2026-11-27): Turnout, as “int8”, is the fastest of 3 that keep 99.5% of "
        "the labels, at every length, and the next takes 1.50 to 2.00 times as long. Nothing that keeps fewer is "
        "faster either.\n"
    )


def test_what_keeps_fewer_labels_does_not_count_and_neither_do_other_candidates_of_ours() -> None:
    faster = (0.5, 0.5, 0.5)
    text = said(
        row("Turnout", (1.0, 1.0, 1.0)),
        row("Turnout with kernels", faster),
        row("quick", (0.9, 0.5, 0.9), enough=False),
        row("another", (1.2, 1.2, 1.2)),
    )
    assert "the fastest of 2 that keep 99.5% of the labels, at every length" in text
    assert "the next takes 1.20 times as long" in text
    assert text.endswith(
        "What keeps fewer takes 0.50 times as long at least (quick, 98.00%, at 32 tokens).\n"
    )


def test_where_another_is_faster_or_level_it_is_named() -> None:
    text = said(row("Turnout", (1.0, 1.0, 1.0)), row("another", (2.0, 0.9, 1.01)), threads=2)
    assert text.startswith("- **Two threads of an A")
    assert text.endswith(
        "at 8 tokens, and the next takes 2.00 times as long; another takes 0.90 times as long at 32 tokens; "
        "another is level on SST-2 dev. Nothing that keeps fewer is faster either.\n"
    )


def test_what_is_slower_everywhere_is_said_to_be() -> None:
    text = said(row("Turnout", (1.0, 1.0, 1.0)), row("another", (0.5, 0.5, 0.5)))
    assert "Turnout, as “int8”, is the fastest nowhere, of 2 that keep" in text
    assert "another takes 0.50 times as long at 8 tokens" in text


def test_nothing_is_claimed_of_ours_where_it_keeps_too_few_labels() -> None:
    text = said(row("Turnout", (1.0, 1.0, 1.0), enough=False), row("another", (2.0, 2.0, 2.0)))
    assert "keeps 98.00% of the labels" in text
    assert "fastest" not in text


@pytest.mark.parametrize("name", ["inference_1", "inference_2"])
def test_every_published_cell_has_a_figure_and_enough_readings(name: str) -> None:
    for result in of_processors(name):
        for each in result["rows"]:
            assert all(milliseconds(each[column]) > 0 for column in each if column not in ABOUT)
            if each["what"] != LIMIT:
                assert each["readings"] >= 3
                assert each["counts"] in ("yes", "no")


def test_no_published_table_of_inference_has_an_empty_cell() -> None:
    results = sorted(RESULTS.glob("inference_*.json"))
    assert len(results) >= 5
    for path in results:
        rows = json.loads(path.read_text("utf-8"))["rows"]
        cells = [cell for row in rows if row.get("what") != LIMIT for cell in row.values()]
        assert not {"", "–"} & set(map(str, cells)), path.name


def test_each_sentence_of_the_first_page_is_true_of_a_result() -> None:
    """Counted again from the figures, without what makes the sentences."""
    readme = (ROOT / "README.md").read_text("utf-8")
    results = [*of_processors("inference_1"), *of_processors("inference_2")]
    sentences = [
        line for line in readme.splitlines() if line.startswith("- **") and " of an " in line
    ]
    assert len(sentences) == len(results) > 0
    for sentence, result in zip(sentences, results, strict=True):
        assert result["machine"]["cpu"] in sentence
        rows = {each["what"]: each for each in result["rows"]}
        rivals = [
            each
            for name, each in rows.items()
            if counts(each) and not name.startswith(("Turnout", "limit"))
        ]
        behind = [
            column
            for column in rows["Turnout"]
            if column not in ABOUT
            and any(milliseconds(r[column]) < milliseconds(rows["Turnout"][column]) for r in rivals)
        ]
        assert ("at every length" in sentence) <= (not behind)
        assert not ("the fastest of" in sentence and len(behind) == len(WORKLOADS) + 2)
