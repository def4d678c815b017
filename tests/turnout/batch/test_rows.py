"""Rows of a batch: forms that are read, and every line that is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.problems import ProblemsFound
from turnout.batch.rows import Row, RowsFile, chunks


def file_of(folder: Path, *lines: Any) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def test_a_row_is_a_text_an_input_or_an_object_with_its_keys(tmp_path: Path) -> None:
    question = {"question": "who", "context": "me"}
    whole = {"input": "b", "parameters": {"top_k": 2}, "id": 7}
    found = RowsFile.check(file_of(tmp_path, "a", question, whole))
    assert [*found.rows()] == [
        Row(line=1, input="a"),
        Row(line=2, input=question),
        Row(line=3, input="b", parameters={"top_k": 2}, id=7),
    ]
    assert [row.line for row in found.rows(skip=2)] == [3]


def test_empty_lines_are_no_rows_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('"a"\n\n  \n"b"', "utf-8")
    found = RowsFile.check(path)
    assert (found.count, [row.line for row in found.rows(skip=1)]) == (2, [4])


def test_every_line_that_is_no_row_is_named_at_once(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a", 5, {"input": "b", "x": 1}, {"input": 3, "parameters": []})
    path.write_text(path.read_text("utf-8") + "{\n", "utf-8")
    with pytest.raises(ProblemsFound) as raised:
        RowsFile.check(path)
    places = [(problem.where, problem.code) for problem in raised.value.problems]
    assert places == [(f"line {n}", "rows_invalid") for n in (2, 3, 4, 4, 5)]


def test_a_file_of_problems_is_read_up_to_the_twentieth(tmp_path: Path) -> None:
    with pytest.raises(ProblemsFound) as raised:
        RowsFile.check(file_of(tmp_path, *range(500)))
    assert len(raised.value.problems) == 20


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProblemsFound, match="rows_missing"):
        RowsFile.check(file_of(tmp_path))


def test_a_request_has_rows_of_the_same_parameters_in_their_order() -> None:
    rows = [Row(line=n, input="a", parameters={"top_k": k}) for n, k in enumerate((1, 1, 1, 2, 1))]
    found = [[row.line for row in chunk] for chunk in chunks(iter(rows), 2)]
    assert found == [[0, 1], [2], [3], [4]]
    assert [*chunks(iter(()), 2)] == []
