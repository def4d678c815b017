"""Files of JSON objects, one a line: what they hold, and what keeps them from being read."""

import json
from pathlib import Path
from typing import Any


class Wrong(Exception):
    """One thing that is wrong with a line."""


def lines_of(path: Path) -> tuple[list[str], str]:
    """The lines of a file, and what is wrong with it as a whole: empty where nothing is."""
    if not path.is_file():
        return [], "not found; give rows as JSON lines under `eval`"
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        return [], f"not UTF-8 text at byte {error.start}; save it as UTF-8"
    except OSError as error:
        return (
            [],
            f"cannot be read: {error.strerror}; see that it may be, or name another under `eval`",
        )
    if _is_array(text):
        return (
            [],
            "is one JSON array; write each of its objects on a line of its own, without [ and ]",
        )
    # Not `splitlines`: JSON leaves characters within texts as they are that Python takes for ends of lines.
    return text.split("\n"), ""


def object_of(line: str) -> dict[str, Any]:
    """The object on a line; raises Wrong."""
    try:
        value = json.loads(line)
    except RecursionError as error:
        raise Wrong("nested too deeply to be a row; write one JSON object a line") from error
    except ValueError as error:
        raise Wrong(f"not JSON ({error}); write one JSON object a line") from error
    if not isinstance(value, dict):
        raise Wrong("not a JSON object; write one a line")
    if "\\ud" in line.lower() and _halves(value):
        raise Wrong("holds half a surrogate pair, which no UTF-8 text can; remove it")
    return value


def _is_array(text: str) -> bool:
    if not text.lstrip().startswith("["):
        return False
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False


def _halves(value: dict[str, Any]) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
