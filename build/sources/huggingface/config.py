"""The JSON files of a model, and the numbers in config.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build.sources.source import Unusable
from contracts.problems import Code, Problem

FILE = "config.json"
SHOWN = 40
# Where each number stands, by the names that architectures have for it.
KEYS = {
    "heads": ("num_attention_heads", "n_heads"),
    "hidden": ("hidden_size", "dim"),
    "vocabulary": ("vocab_size",),
    "positions": ("max_position_embeddings", "n_positions"),
    "pad": ("pad_token_id",),
}
MAY_BE_NULL = {"positions", "pad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a build reads of config.json; 0 is what it does not say."""

    heads: int
    hidden: int
    vocabulary: int
    positions: int
    pad: int


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file; raise Unusable where there is none."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise Unusable(
            Code.FILE_DAMAGED, f"{path.name} cannot be read ({error}); save the model again"
        ) from error
    if not isinstance(document, dict):
        raise Unusable(Code.FILE_DAMAGED, f"{path.name} is not a JSON object; save the model again")
    return document


def optional_json(path: Path) -> dict[str, Any]:
    """Return the object in a file, empty where there is no such file."""
    return read_json(path) if path.is_file() else {}


def read_settings(config: Mapping[str, Any]) -> Settings:
    """Raises Unusable with every number that is none."""
    found: dict[str, int] = {}
    problems: list[Problem] = []
    for name, keys in KEYS.items():
        try:
            least = None if name == "pad" else 0
            found[name] = whole(config, *keys, least=least, null=name in MAY_BE_NULL)
        except Unusable as error:
            problems.extend(error.problems)
    if problems:
        raise Unusable.listing(problems)
    return Settings(**found)


def whole(
    document: Mapping[str, Any],
    *keys: str,
    least: int | None = None,
    null: bool = True,
    file: str = FILE,
) -> int:
    """The number under the first of these keys that is there; 0 where none is, or it is null and may be."""
    key = next((key for key in keys if key in document), "")
    value: Any = document.get(key)
    if not key or (value is None and null):
        return 0
    if is_whole(value) and (least is None or value >= least):
        return int(value)
    bound = "" if least is None else f" of at least {least}"
    shown = "null" if value is None else repr(value)[:SHOWN]
    raise Unusable(
        Code.FILE_DAMAGED,
        f"{file} has {shown} as `{key}`, where a whole number{bound} has to be; save the model again",
    )


def is_whole(value: object) -> bool:
    """Whether it is a whole number, which JSON may write as 1e30."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and value.is_integer()
    )
