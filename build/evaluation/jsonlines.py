"""Files of JSON objects, one on a line."""

import json
from pathlib import Path
from typing import Any

from contracts.problems import Code, Problem


class RowProblem(Exception):
    """The problem of one line."""

    def __init__(self, message: str, code: Code = Code.ROWS_INVALID) -> None:
        super().__init__(message)
        self.code = code


def read_lines(path: Path) -> tuple[list[str], Problem | None]:
    """Return the lines of a file, and the problem of the file as a whole if it has one."""
    if not path.is_file():
        message = "not found; give rows as JSON lines under `eval`"
        return [], Problem(code=Code.ROWS_MISSING, message=message)
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"not UTF-8 text at byte {error.start}; save it as UTF-8"
        return [], Problem(code=Code.ROWS_INVALID, message=message)
    except OSError as error:
        message = f"cannot be read: {error.strerror}; allow that, or name another under `eval`"
        return [], Problem(code=Code.ROWS_MISSING, message=message)
    if _is_array(text):
        message = (
            "is one JSON array; write each of its objects on a line of its own, without [ and ]"
        )
        return [], Problem(code=Code.ROWS_INVALID, message=message)
    # Not `splitlines`: JSON strings may hold characters that Python takes for ends of lines, such as U+2028.
    return text.split("\n"), None


def parse_object(line: str) -> dict[str, Any]:
    """Return the object on a line; raise RowProblem."""
    try:
        value = json.loads(line)
    except RecursionError as error:
        raise RowProblem("nested too deeply to be a row; write one JSON object a line") from error
    except ValueError as error:
        raise RowProblem(f"not JSON ({error}); write one JSON object a line") from error
    if not isinstance(value, dict):
        raise RowProblem("not a JSON object; write one a line")
    # JSON can escape one half of a surrogate pair, but no tokenizer takes a text with it.
    if "\\ud" in line.lower() and not _is_unicode(value):
        raise RowProblem("holds half a surrogate pair, which no UTF-8 text can; remove it")
    return value


def _is_array(text: str) -> bool:
    if not text.lstrip().startswith("["):
        return False
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False


def _is_unicode(value: dict[str, Any]) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
