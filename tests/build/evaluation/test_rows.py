"""Lines of JSON end where a line feed is, and nowhere else: texts may hold all that Python takes for ends of lines."""

import json
from pathlib import Path
from typing import Any

import pytest

from build.edge.contents import ARCHIVE
from build.edge.copy import run
from build.errors import MAX_PROBLEMS
from build.evaluation.rows import read_rows
from build.proof.golden import GoldenRow
from build.tasks.registry import TASKS
from contracts.prediction import PredictRequest
from contracts.tasks import Task
from tests.fixtures.models.tiny_bert import LABELS, write_rows
from tests.fixtures.problems import assert_problems

ENDS = ("\u2028", "\u2029", "\x85")


@pytest.mark.parametrize("end", ENDS, ids=ascii)
@pytest.mark.parametrize("last", ["", "\n", "\r\n"], ids=ascii)
def test_rows_may_hold_any_character_that_json_leaves_as_it_is(
    tmp_path: Path, end: str, last: str
) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [f'{{"text": "one{end}more"}}', '{"text": "two"}']
    path.write_bytes(((last or "\n").join(lines) + last).encode())
    rows, problems = read_rows(path, TASKS[Task.FEATURE_EXTRACTION].rows, None)
    assert problems == []
    assert [row.request.inputs for row in rows] == [(f"one{end}more",), ("two",)]


def test_problems_are_reported_by_the_line_that_an_editor_shows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a\u2028b"}\n\n{"text": "a\x1eb"}\n[]\n', "utf-8")
    assert_problems(
        read_rows(path, TASKS[Task.FEATURE_EXTRACTION].rows, None)[1],
        ("rows_invalid", f"{path}:3", "not JSON"),
        ("rows_invalid", f"{path}:4", "not a JSON object"),
    )


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ('{"text": "a\\uD800 b"}', ("half a surrogate pair", "remove it")),
        ("[" * 100_000, ("nested too deeply", "one JSON object a line")),
        ('{"text": 5}', ('"text" is 5', "it has to be a text")),
        ('{"text": ["a", "b"]}', (""""text" is ['a', 'b']""", "it has to be a text")),
        ('{"text": null}', ('no "text"', "not empty")),
    ],
    ids=["surrogate", "deep", "number", "list", "null"],
)
def test_a_row_that_is_no_request_is_refused_by_its_line(
    tmp_path: Path, line: str, texts: tuple[str, ...]
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a \\ud83d\\ude00"}\n' + line, "utf-8")
    rows, problems = read_rows(path, TASKS[Task.FEATURE_EXTRACTION].rows, None)
    assert len(rows) == 1
    assert_problems(problems, ("rows_invalid", f"{path}:2", *texts))


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('\ufeff{"text": "one"}\n', "utf-8")
    rows, problems = read_rows(path, TASKS[Task.FEATURE_EXTRACTION].rows, None)
    assert ([row.request.inputs for row in rows], problems) == ([("one",)], [])


def test_a_file_that_is_one_array_is_reported_as_that(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps([{"text": "one"}, {"text": "two"}], indent=1), "utf-8")
    rows, problems = read_rows(path, TASKS[Task.FEATURE_EXTRACTION].rows, None)
    assert rows == ()
    assert_problems(problems, ("rows_invalid", path, "one JSON array", "without [ and ]"))


def test_a_file_that_cannot_be_read_is_named() -> None:
    path = Path("/proc/self/mem")  # a file whose first bytes nobody can read, root neither
    rows, problems = read_rows(path, TASKS[Task.FEATURE_EXTRACTION].rows, None)
    assert rows == ()
    assert_problems(problems, ("rows_missing", path, "Input/output error", "under `eval`"))


def test_the_answers_of_an_edge_copy_may_hold_them_as_well(tmp_path: Path) -> None:
    script = """import json, sys
for line in sys.stdin:
    print(json.dumps({"outputs": json.loads(line)["inputs"]}, ensure_ascii=False))
"""
    (tmp_path / ARCHIVE).write_text(script, "utf-8")
    texts = [f"one{end}more" for end in ENDS]
    golden = [
        GoldenRow(request=PredictRequest(inputs=(text,), parameters={}), reference=[], built=[])
        for text in texts
    ]
    assert run(tmp_path, golden) == [{"outputs": [text]} for text in texts]


def test_a_thousand_invalid_lines_are_not_reported_one_by_one(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "eval.jsonl", [{"label": "good"}] * 1000)
    rows, problems = read_rows(path, TASKS[Task.TEXT_CLASSIFICATION].rows, LABELS)
    assert (rows, len(problems)) == ((), MAX_PROBLEMS + 1)
    assert_problems(problems[-1:], ("rows_invalid", path, "990 more lines"))


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"", [("rows_missing", "", '{"text": "...", "label": "..."}')]),
        (b"\n \n", [("rows_missing", "", '{"text": "...", "label": "..."}')]),
        ("{}".encode("utf-16"), [("rows_invalid", "", "byte 0", "save it as UTF-8")]),
        (
            b'{"text": "a", "label": "good"}\n{"text": \n[]\n{"text": " "}\n'
            b'{"text": "a"}\n{"text": "a", "label": "great"}',
            [
                ("rows_invalid", ":2", "not JSON (Expecting value: line 1 column 10 (char 9))"),
                ("rows_invalid", ":3", "not a JSON object"),
                ("rows_invalid", ":4", 'no "text"', "not empty"),
                ("labels_mismatch", ":6", "'great'", "bad, good, so-so"),
                ("rows_invalid", "", "1 of 2 other rows", "give it to all of them, or to none"),
            ],
        ),
    ],
    ids=["empty", "blank", "another encoding", "every line"],
)
def test_every_invalid_row_is_reported(
    tmp_path: Path, content: bytes, problems: list[tuple[str, ...]]
) -> None:
    path = tmp_path / "eval.jsonl"
    path.write_bytes(content)
    assert_problems(
        read_rows(path, TASKS[Task.TEXT_CLASSIFICATION].rows, LABELS)[1],
        *((code, f"{path}{line}", *texts) for code, line, *texts in problems),
    )


@pytest.mark.parametrize(
    ("task", "row", "known"),
    [
        (Task.FEATURE_EXTRACTION, {"text": "a"}, "'query', 'document', 'passage'"),
        (Task.FEATURE_EXTRACTION, {"text": "a", "text_pair": "b", "score": 1}, "'passage'"),
        (Task.TEXT_RANKING, {"query": "q", "texts": ["a"]}, "are 'passage'"),
        (Task.TEXT_RANKING, {"query": "q", "texts": ["a"], "label": 0}, "are 'passage'"),
    ],
)
def test_a_row_may_name_one_of_the_model_s_prompts(
    tmp_path: Path, task: Task, row: dict[str, Any], known: str
) -> None:
    path, row_format = tmp_path / "rows.jsonl", TASKS[task].rows
    details = {"prompts": {"passage": "text: "}}
    other = {**row, **({"score": 2} if "score" in row else {})}
    write_rows(path, [{**row, "prompt_name": "passage"}, other])
    rows, problems = read_rows(path, row_format, None, details)
    assert problems == []
    assert [r.request.parameters.get("prompt_name") for r in rows] == ["passage", None]
    write_rows(path, [{**row, "prompt_name": "pasage"}, other])
    assert read_rows(path, row_format, None)[1] == []  # of a model that is not known
    assert_problems(
        read_rows(path, row_format, None, details)[1],
        ("rows_invalid", path, "\"prompt_name\" of 1 rows is 'pasage'", known),
    )
    write_rows(path, [{**row, "prompt_name": 3}])
    assert_problems(
        read_rows(path, row_format, None, details)[1],
        ("rows_invalid", f"{path}:1", '"prompt_name" is 3', "has to be a text"),
    )
