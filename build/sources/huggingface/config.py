"""The reading of a model's JSON files, and the numbers in config.json.

Its labels are read in `labels.py`, its architecture in `folder.py`. Generation and pooling are set in other files,
which `generation_config.py` and `pooling_config.py` read.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build.sources.source import Unusable
from contracts.problems import Code, Problem

FILE = "config.json"
# Characters of a value that a message shows.
MAX_SHOWN = 40
# The key of each number: architectures have several names for one, and the first that is there counts.
# DistilBERT has n_heads and dim, GPT-2 n_positions, BART d_model.
KEYS = {
    "heads": ("num_attention_heads", "n_heads", "encoder_attention_heads"),
    "hidden": ("hidden_size", "dim", "d_model"),
    "vocabulary": ("vocab_size", "n_words"),
    "positions": ("max_position_embeddings", "n_positions"),
    "pad": ("pad_token_id",),
}
MAY_BE_NULL = {"positions", "pad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The numbers of config.json that a build reads, 0 where it lacks one.

    `positions` is the number of rows of the position table, `vocabulary` that of the embedding.
    """

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
    """Return the numbers of a parsed config.json; raise Unusable with a problem for each that is no whole number."""
    numbers: dict[str, int] = {}
    problems: list[Problem] = []
    for name, keys in KEYS.items():
        try:
            # Some configs have -1 as `pad_token_id`, for none.
            minimum = None if name == "pad" else 0
            numbers[name] = whole(config, *keys, minimum=minimum, null=name in MAY_BE_NULL)
        except Unusable as error:
            problems.extend(error.problems)
    if problems:
        raise Unusable.listing(problems)
    decoder = whole(config, "decoder_attention_heads", minimum=0)
    if decoder not in (0, numbers["heads"]):
        # Two numbers of heads are found in the graph, where one is told.
        numbers["heads"] = numbers["hidden"] = 0
    return Settings(**numbers)


def whole(
    document: Mapping[str, Any],
    *keys: str,
    minimum: int | None = None,
    null: bool = True,
    file: str = FILE,
) -> int:
    """Return the whole number under the first of `keys` that is there; raise Unusable for another value.

    0 stands for no such key, and for null where `null` allows it.
    """
    key = next((key for key in keys if key in document), "")
    value: Any = document.get(key)
    if not key or (value is None and null):
        return 0
    if is_whole(value) and (minimum is None or value >= minimum):
        return int(value)
    bound = "" if minimum is None else f" of at least {minimum}"
    shown = "null" if value is None else repr(value)[:MAX_SHOWN]
    raise Unusable(
        Code.FILE_DAMAGED,
        f"{file} has {shown} as `{key}`, where a whole number{bound} has to be; save the model again",
    )


def is_whole(value: object) -> bool:
    """Return whether a JSON value is a whole number; transformers writes a missing limit as 1e30."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and value.is_integer()
    )
