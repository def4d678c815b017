"""The labelled rows that a model is proved on: JSON lines in the format of the task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from build.errors import MAX_PROBLEMS
from build.evaluation.jsonlines import RowProblem, parse_object, read_lines
from contracts.prediction import PredictRequest
from contracts.problems import Code, Problem

Labels = Sequence[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request with its right answer, in the form that the task's metric compares; None if it has no answer."""

    request: PredictRequest
    answer: Any = None


def no_problems(rows: Sequence[Row]) -> list[Problem]:
    """Return no problem: any rows of this format can be used together."""
    return []


def fits_any(rows: Sequence[Row], details: Mapping[str, Any]) -> list[Problem]:
    """Return no problem: every model of the task answers in the same way."""
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFormat:
    """The format of a task's rows.

    `parse` makes a row of one line's object, given the labels that the model knows (None where they are unknown), and
    raises RowProblem. `example` is a line as an error message shows it. `answer` is the users' name of a right answer.
    `problems` checks all rows of a file together, once each of them has an answer. `unfit` checks them with or without
    answers against a model's details: that it answers in that way, and has what the rows name.
    """

    parse: Callable[[dict[str, Any], Labels], Row]
    example: str
    answer: str = "right answer"
    problems: Callable[[Sequence[Row]], list[Problem]] = no_problems
    unfit: Callable[[Sequence[Row], Mapping[str, Any]], list[Problem]] = fits_any


def read_rows(
    path: Path, row_format: RowFormat, labels: Labels, details: Mapping[str, Any] | None = None
) -> tuple[tuple[Row, ...], list[Problem]]:
    """Return the rows of a file, and its problems line by line.

    `labels` and `details` are those of the model, None if they are unknown.
    """
    lines, unreadable = read_lines(path)
    if unreadable:
        return (), [unreadable.within(path)]
    rows: list[Row] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(row_format.parse(parse_object(line), labels))
        except RowProblem as problem:
            problems.append(
                Problem(code=problem.code, where=f"{path}:{number}", message=str(problem))
            )
    of_file = _problems_of_file(rows, row_format, details, partial=bool(problems))
    if len(problems) > MAX_PROBLEMS:
        more = f"and {len(problems) - MAX_PROBLEMS} more lines like these"
        problems[MAX_PROBLEMS:] = [Problem(code=Code.ROWS_INVALID, where=str(path), message=more)]
    return tuple(rows), [*problems, *(problem.within(path) for problem in of_file)]


def _problems_of_file(
    rows: Sequence[Row],
    row_format: RowFormat,
    details: Mapping[str, Any] | None,
    *,
    partial: bool,
) -> list[Problem]:
    """Return the problems of all rows together; the rows are `partial` if other lines could not be read."""
    if not rows and not partial:
        message = f"has no rows; write one JSON object a line, such as {row_format.example}"
        return [Problem(code=Code.ROWS_MISSING, message=message)]
    answered = sum(row.answer is not None for row in rows)
    if 0 < answered < len(rows):
        message = (
            f"{answered} of {len(rows)} {'other ' * partial}rows have a {row_format.answer}; give it to all of them, "
            "or to none, and the reference's own answers count as right"
        )
        return [Problem(code=Code.ROWS_INVALID, message=message)]
    if not rows or partial:
        return []
    unfit = [] if details is None else row_format.unfit(rows, details)
    return [*unfit, *(row_format.problems(rows) if answered else ())]


# What follows is for the tasks' `parse` functions.


def request_of(*inputs: Any, **parameters: Any) -> PredictRequest:
    """Return a request of those inputs and parameters."""
    return PredictRequest(inputs=inputs, parameters=parameters)


def text_field(row: dict[str, Any], key: str = "text") -> str:
    """Return the text under a key of a row; raise RowProblem if there is none or it is empty."""
    value = row.get(key)
    if value is not None and not isinstance(value, str):
        raise RowProblem(f'"{key}" is {shorten(repr(value), 60)}; it has to be a text')
    if value is None or not value.strip():
        raise RowProblem(f'no "{key}"; every row needs one that is not empty')
    return value


def texts_field(row: dict[str, Any], key: str) -> list[str]:
    """Return the list of texts under a key of a row; raise RowProblem for anything else, and for an empty list."""
    values = row.get(key)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise RowProblem(f'"{key}" has to be a list of texts')
    if not values:
        raise RowProblem(f'"{key}" is an empty list; it has to hold a text')
    return values


def score_field(row: dict[str, Any], one: str, other: str) -> float:
    """Return how alike people find two texts; raise RowProblem unless it is a finite number."""
    if not is_number(row.get("score")):
        raise RowProblem(
            f'"score" has to be a number that says how alike "{one}" and "{other}" are'
        )
    return float(row["score"])


def is_number(value: object) -> bool:
    """Return whether a JSON value is a finite number."""
    # The comparison is also false for NaN, for infinity, and for integers that no float can hold.
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < 1e300  # type: ignore[arg-type]


def known_label(label: object, labels: Labels) -> str:
    """Return a label that the model knows, or any if its labels are unknown; raise RowProblem for another."""
    if not isinstance(label, str):
        raise RowProblem(f'"label" is {label!r}, not a text')
    if labels is not None and label not in labels:
        message = f"the model does not know the label {label!r}; it knows {', '.join(labels)}"
        raise RowProblem(message, Code.LABELS_MISMATCH)
    return label
