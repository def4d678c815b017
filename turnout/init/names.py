"""The name of a model, made from that of its source."""

import re
from collections.abc import Collection
from itertools import count
from pathlib import Path

from contracts.names import MAX_MODEL_CHARS

# Names of folders and files that say nothing of the model: that of the folder they lie in does.
PLAIN = re.compile(
    r"(model|models|checkpoint|checkpoints|final|best|output|onnx|saved[-_]?model)([-_]?\d+)?"
)
# A folder of the Hub's own cache: models--org--name/snapshots/commit.
CACHED = re.compile(r"models--.+?--(.+)/snapshots/[^/]+$")
# Ends of file names that name a format.
FORMATS = re.compile(
    r"(\.arpa)?\.(onnx|pt|ts|tflite|gguf|arpa|gz|vec|txt|bin|w2v|glove)$", re.IGNORECASE
)
FALLBACK = "model"


def name_for(source: Path | str, taken: Collection[str]) -> str:
    """Return a valid name that no other model has: the source's own, with a number where that is taken."""
    name = _valid(_own_name(source))
    if name not in taken:
        return name
    return next(other for n in count(2) if (other := _numbered(name, n)) not in taken)


def _own_name(source: Path | str) -> str:
    if isinstance(source, str):
        # hf://org/name/file.gguf@revision: a file is named after itself, as a repository may hold many.
        return FORMATS.sub("", source.partition("@")[0].rstrip("/").rsplit("/", 1)[-1])
    path = source.resolve()
    if cached := CACHED.search(path.as_posix()):
        return cached.group(1)
    named = (FORMATS.sub("", part) for part in reversed(path.parts[1:]))
    return next((name for name in named if not PLAIN.fullmatch(name.lower())), FALLBACK)


def _valid(text: str) -> str:
    """Return the text in small letters, with a hyphen for all else, and a letter first."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if plain and not plain[0].isalpha():
        plain = f"{FALLBACK}-{plain}"
    return _cut(plain, MAX_MODEL_CHARS) or FALLBACK


def _numbered(name: str, number: int) -> str:
    end = f"-{number}"
    return _cut(name, MAX_MODEL_CHARS - len(end)) + end


def _cut(text: str, most: int) -> str:
    """Return the text, cut where a word ends if it is too long and has an end in its second half."""
    if len(text) <= most:
        return text
    end = text.rfind("-", most // 2, most + 1)
    return text[: end if end > 0 else most].strip("-")
