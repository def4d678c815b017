"""The labelled rows a model is proven on: JSON lines with `text`, and `label` for a classifier."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_MISTAKES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One text with its right answer, which is empty where the task needs none."""

    text: str
    label: str = ""


def read_rows(path: Path, labels: tuple[str, ...]) -> tuple[tuple[Row, ...], list[str]]:
    """The rows, and what is wrong with the file, line by line. `labels` is empty when none are needed."""
    if not path.is_file():
        return (), [f"{path}: not found; give labelled rows as JSON lines under `eval`"]
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        return (), [f"{path}: not UTF-8 text at byte {error.start}; save it as UTF-8"]
    rows: list[Row] = []
    mistakes: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row, mistake = _row(line, labels)
        if row:
            rows.append(row)
        else:
            mistakes.append(f"{path}:{number}: {mistake}")
    if not rows and not mistakes:
        mistakes = [
            f'{path}: has no rows; write one JSON object a line, such as {{"text": "...", "label": "..."}}'
        ]
    if len(mistakes) > MAX_MISTAKES:
        mistakes[MAX_MISTAKES:] = [
            f"{path}: and {len(mistakes) - MAX_MISTAKES} more lines like these"
        ]
    return tuple(rows), mistakes


def _row(line: str, labels: tuple[str, ...]) -> tuple[Row | None, str]:
    try:
        value: Any = json.loads(line)
    except ValueError as error:
        return None, f"not JSON ({error}); write one JSON object a line"
    if (
        not isinstance(value, dict)
        or not isinstance(value.get("text"), str)
        or not value["text"].strip()
    ):
        return None, 'no "text"; every row needs one that is not empty'
    if not labels:
        return Row(text=value["text"]), ""
    label = value.get("label")
    if not isinstance(label, str):
        return None, 'no "label"; a classifier is proven on labelled rows'
    if label not in labels:
        return None, f"the model does not know the label {label!r}; it knows {', '.join(labels)}"
    return Row(text=value["text"], label=label), ""
