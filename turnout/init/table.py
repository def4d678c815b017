"""Tables of models as TOML text, and the file that they are added to: what a user wrote in it stays as it is."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.models_toml import ConfigError, read_models_toml
from contracts.problems import Code, Problem
from contracts.specs import Deployment

HEADER = (
    "# The models to serve, a table each: `turnout build` makes and proves them, `turnout plan` shows what they cost.\n"
    "# Every setting is explained in docs/models-toml.md.\n"
)
# Beside the file, so that a rename replaces it.
HALF = ".half"


def read_existing(path: Path) -> Deployment:
    """Return what a file holds, nothing where there is none; raise ConfigError for one that cannot be used."""
    if not path.exists():
        return Deployment()
    try:
        return read_models_toml(path)
    except ConfigError as error:
        # A file that only lacks its first model is what one is added to.
        if [(each.code, each.where) for each in error.problems] == [
            (Code.SETTING_MISSING, "models")
        ]:
            return Deployment()
        raise


def table_text(name: str, settings: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    """Return the table of a model; `comments` stand behind the settings of their keys."""
    lines = [f"[models.{name}]"]
    for key, value in settings.items():
        comment = f"  # {comments[key]}" if comments.get(key) else ""
        lines.append(f"{key} = {as_toml(value)}{comment}")
    return "\n".join(lines) + "\n"


def as_toml(value: Any) -> str:
    """Return a value as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str():
            return f'"{"".join(map(_escaped, value))}"'
        case dict():
            inner = ", ".join(f"{key} = {as_toml(one)}" for key, one in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case _:
            return f"[{', '.join(map(as_toml, value))}]"


def _escaped(character: str) -> str:
    """Return a character as a basic string holds it (https://toml.io/en/v1.0.0#string)."""
    if character in '"\\':
        return f"\\{character}"
    unprintable = ord(character) < 0x20 or ord(character) == 0x7F
    return f"\\u{ord(character):04X}" if unprintable else character


def add_table(path: Path, table: str) -> None:
    """Append a table to the file, or begin one; raise ConfigError where the whole would not be what is meant.

    The new file is written beside the old one, read as a build reads it, and renamed into place.
    """
    # A link stays one: the file that it leads to is replaced.
    target = path.resolve()
    half = target.with_name(target.name + HALF)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        half.write_bytes(_extended(target, table))
        _check(path, half)
        if target.exists():
            shutil.copymode(target, half)
        os.replace(half, target)
    finally:
        half.unlink(missing_ok=True)


def _extended(path: Path, table: str) -> bytes:
    """Return the file's bytes with the table behind them, in its own kind of line ends."""
    if not path.exists():
        return f"{HEADER}\n{table}".encode()
    before = path.read_bytes()
    end = "\r\n" if b"\r\n" in before else "\n"
    gap = "" if not before.strip() else end if before.endswith(b"\n") else end * 2
    return before + (gap + table.replace("\n", end)).encode()


def _check(path: Path, half: Path) -> None:
    """Raise ConfigError, about the file itself, if the extended one cannot be read."""
    try:
        read_models_toml(half)
    except ConfigError as error:
        message = (
            f"no table can be added at its end ({'; '.join(map(str, error.problems))}); write each of its models as a "
            "table [models.NAME] of its own"
        )
        problem = Problem(code=Code.SETTING_INVALID, where="models", message=message)
        raise ConfigError(path, [problem]) from error
