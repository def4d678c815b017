"""Tables of a TOML file, whose problems are all found at once and named with their key and their fix."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.problems import Code, Problem
from contracts.toml.kinds import Kind

LONG_NUMBER = "a number of thousands of digits"


class Unread(Exception):
    """A file is no TOML document; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(slots=True)
class Tables:
    """A reader of tables that collects their problems."""

    problems: list[Problem] = field(default_factory=list)

    def refuse(self, key: str, detail: str, fix: str, code: Code = Code.SETTING_INVALID) -> None:
        self.problems.append(Problem(code=code, where=key, message=f"{detail}; {fix}"))

    def take(
        self, at: str, table: Mapping[str, Any], kinds: Mapping[str, Kind], *required: str
    ) -> dict[str, Any]:
        """Return the known, valid keys of a table, converted; everything else becomes a problem."""
        taken: dict[str, Any] = {}
        for key, value in table.items():
            here = f"{at}.{key}" if at else key
            if key not in kinds:
                self.refuse(here, "unknown key", _nearest(key, kinds), Code.SETTING_UNKNOWN)
            elif not kinds[key].accepts(value):
                self.refuse(here, f"{_shown(value)} does not fit", f"write {kinds[key].name}")
            else:
                taken[key] = kinds[key].take(value)
        for key in required:
            if key not in table:
                fix = f"add {key} = {kinds[key].name}"
                self.refuse(f"{at}.{key}", "is missing", fix, Code.SETTING_MISSING)
        return taken


def parse(path: Path, *, missing: str, option: str) -> dict[str, Any]:
    """Return the document in a file; raise Unread, which says what to do if it is missing or named by an option."""
    try:
        # `utf-8-sig`: tomllib refuses the byte order mark that some editors put in front.
        return tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        code, message = _unread(error, missing, option)
        raise Unread(Problem(code=code, where="file", message=message)) from error


def _unread(error: Exception, missing: str, option: str) -> tuple[Code, str]:
    match error:
        case FileNotFoundError():
            return Code.FILE_MISSING, f"not found; {missing}, or name another with {option}"
        case OSError():
            reason = f"cannot be read: {error.strerror}"
            return Code.FILE_MISSING, f"{reason}; allow that, or name another with {option}"
        case UnicodeDecodeError():
            return Code.FILE_DAMAGED, f"{error}; save it as UTF-8 text"
        case tomllib.TOMLDecodeError():
            return Code.FILE_DAMAGED, f"not TOML: {error}; correct that line"
        case RecursionError():
            return (
                Code.FILE_DAMAGED,
                "nested too deeply; write tables of plain values, as the README shows",
            )
    # Python reads decimal numbers of up to `sys.get_int_max_str_digits` digits only.
    return Code.FILE_DAMAGED, f"{LONG_NUMBER}; write a shorter one"


def _nearest(key: str, kinds: Mapping[str, Kind]) -> str:
    near = difflib.get_close_matches(key, kinds, n=1)
    return f"did you mean {near[0]}?" if near else "the keys here are " + ", ".join(kinds)


def _shown(value: object) -> str:
    try:
        return repr(value)
    # A hexadecimal number can have more digits than Python writes in decimal (`sys.get_int_max_str_digits`).
    except ValueError:
        return LONG_NUMBER
