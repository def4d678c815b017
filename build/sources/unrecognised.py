"""A folder in no known format, and the files in it that can be named as `source` instead."""

from collections.abc import Iterator
from pathlib import Path

from build.errors import some_of
from build.sources import torchscript
from build.sources.formats import LOOKED_FOR, SUFFIXES, UNKNOWN_FILE
from build.sources.huggingface import folder as huggingface_folder
from build.sources.huggingface.stored_forms import ADAPTER
from build.sources.source import Source, Unusable
from build.sources.tensorflow import savedmodel_signature
from build.tasks.description import TaskDescription
from contracts.problems import Code
from contracts.specs import SourceOptions

# Names shown in a message.
MAX_NAMES = 10
# Files that a Hugging Face folder has besides its weights.
DESCRIBED = ("config.json", "tokenizer.json", ADAPTER)


def read(
    folder: Path, task: TaskDescription, max_tokens: int | None, options: SourceOptions
) -> Source:
    """Raise Unusable with the formats that were looked for, the files that are there, and the next step.

    A Hugging Face folder without weights comes here too: its own reader lists everything that it lacks.
    """
    usable = sorted(_usable(folder))
    if not usable and any((folder / name).is_file() for name in DESCRIBED):
        return huggingface_folder.read(folder, task, max_tokens, options)
    raise Unusable(
        Code.FORMAT_UNKNOWN, f"{_found(folder)}; {LOOKED_FOR}; {_advice(folder, usable)}"
    )


def _usable(folder: Path) -> Iterator[str]:
    """Yield the place of each file and SavedModel folder within that has a reader."""
    for path in folder.rglob("*"):
        place = path.relative_to(folder)
        if any(part.startswith(".") for part in place.parts) or not path.is_file():
            continue
        if path.name == savedmodel_signature.FILE:
            yield str(place.parent)
        elif path.suffix in torchscript.SUFFIXES:
            yield from [str(place)] if torchscript.is_script(path) else []
        elif path.name.endswith(tuple(SUFFIXES)):
            yield str(place)


def _found(folder: Path) -> str:
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    if not names:
        return "an empty folder"
    return f"holds {some_of(names, MAX_NAMES)}"


def _advice(folder: Path, usable: list[str]) -> str:
    if len(usable) == 1:
        return f"name {usable[0]} in it as `source`"
    if usable:
        return "name the one to build as `source`"
    known = [path for path in folder.iterdir() if path.suffix in UNKNOWN_FILE]
    if len(known) == 1:
        return f"{known[0].name} is {UNKNOWN_FILE[known[0].suffix]}"
    return "put a model there, or correct `source`"
