"""The files of a model as it was saved, in a folder or on a hub, and those of them that a server loads."""

import json
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from contracts.manifest import SealedFile
from contracts.problems import Code
from contracts.weights.pushed import Weights
from turnout.fit.source import INDEX
from turnout.fit.source import WEIGHTS as WHOLE
from turnout.push.errors import PushFailed
from turnout.push.kept import Kept

CONFIG = "config.json"
# Settings, tokenizer and template. No pickle and no code: neither is uploaded, and neither is run.
DESCRIBING = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "*.tiktoken", "tekken.json")
# Read into memory whole; the index of the largest models has some megabytes.
MAX_JSON = 64 << 20


class Reader(Protocol):
    """A file, from its first byte on where it is not sought."""

    def read(self, size: int, /) -> bytes:
        """Return that many bytes, fewer at the end alone."""
        ...

    def seek(self, offset: int, /) -> int:
        """Go to a byte."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class Tree(Protocol):
    """The files of a model in one place; `sizes` are their bytes by path, `origin` names the place and its version."""

    @property
    def origin(self) -> str: ...

    @property
    def named(self) -> str:
        """Return the place as its user knows it."""
        ...

    @property
    def sizes(self) -> Mapping[str, int]: ...

    def open(self, path: str) -> Reader: ...

    def stated(self, path: str) -> str:
        """Return the SHA-256 that the place itself states of a file, empty where it states none."""
        ...

    def identity(self, path: str) -> tuple[str, str]:
        """Return where a file lies, and which version of it: while both are the same, so are its bytes."""
        ...


class Folder:
    """A folder on this machine."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            message = "is no folder; name the one that has config.json and the safetensors files"
            raise PushFailed.about(folder, Code.FILE_MISSING, message)
        self._folder = folder
        self.sizes: Mapping[str, int] = {
            path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()
        }

    @property
    def origin(self) -> str:
        # A path of this machine says nothing elsewhere.
        return ""

    @property
    def named(self) -> str:
        return str(self._folder)

    def open(self, path: str) -> Reader:
        # Unbuffered, a read may return less than was asked for.
        return (self._folder / path).open("rb")

    def stated(self, path: str) -> str:
        return ""

    def identity(self, path: str) -> tuple[str, str]:
        place = (self._folder / path).absolute()
        found = place.stat()
        # A file that is written has another time of change, also where its own time is set back.
        version = (
            found.st_dev,
            found.st_ino,
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
        )
        return str(place), " ".join(map(str, version))


def checked(tree: Tree) -> list[str]:
    """Return the files to push, sorted; raise PushFailed where a model is not whole."""
    paths = sorted(chosen(tree))
    for path in paths:
        if path.endswith(".safetensors"):
            check_shard(tree, path)
    return paths


def read_weights(
    tree: Tree,
    hashed: Callable[[str, int], None],
    kept: Kept | None = None,
    paths: Sequence[str] = (),
) -> Weights:
    """Return the files to push with their digests; raise PushFailed where a model is not whole.

    `hashed` is told of each part that had to be read for its file's digest; of parts in `kept` none is. `paths` are
    those of `checked`, where that was done.
    """
    kept = kept or Kept()
    return Weights(
        files=tuple(
            SealedFile(
                path=path,
                sha256=tree.stated(path) or _sha256(tree, path, hashed, kept),
                size=tree.sizes[path],
            )
            for path in paths or checked(tree)
        ),
        origin=tree.origin,
    )


def chosen(tree: Tree) -> list[str]:
    """Return the files that a server loads; raise PushFailed for those that are missing."""
    here = [path for path in tree.sizes if "/" not in path]
    describing = [path for path in here if _is_one_of(path, DESCRIBING)]
    if CONFIG not in here:
        raise _missing(tree, CONFIG)
    if not any(_is_one_of(path, TOKENIZERS) for path in here):
        raise _missing(tree, "tokenizer.json")
    if INDEX in here:
        shards = _indexed(tree)
        if gone := sorted(shards - tree.sizes.keys()):
            more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
            message = f"there is no {', '.join(gone[:3])}{more}, which {INDEX} names; copy the model again"
            raise PushFailed.about(tree.named, Code.FILE_MISSING, message)
        return [*describing, *shards]
    if WHOLE not in here:
        raise _without_weights(tree, here)
    return [*describing, WHOLE]


def check_shard(tree: Tree, path: str) -> None:
    """Raise PushFailed for a shard that is cut short: vLLM would find it out while an instance is paid for.

    https://github.com/huggingface/safetensors#format
    """
    with tree.open(path) as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= MAX_JSON else b""
    try:
        tensors = [one for name, one in json.loads(header).items() if name != "__metadata__"]
        end = 8 + length + max(one["data_offsets"][1] for one in tensors)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        message = "has no header of safetensors; copy it again"
        raise PushFailed.about(path, Code.FILE_DAMAGED, message) from error
    if end != tree.sizes[path]:
        message = f"has {tree.sizes[path]:,} bytes, and its header names {end:,}; copy it again"
        raise PushFailed.about(path, Code.FILE_DAMAGED, message)


def _indexed(tree: Tree) -> set[str]:
    """Return the shards that the index names."""
    document = read_json(tree, INDEX)
    shards = document.get("weight_map") if isinstance(document, dict) else None
    named = set(shards.values()) if isinstance(shards, dict) else set()
    # A part of a path would leave the folder, here or in the container.
    if not named or not all(isinstance(one, str) and "/" not in one for one in named):
        message = f"{INDEX} has no `weight_map` of files beside it; copy it again"
        raise PushFailed.about(tree.named, Code.FILE_DAMAGED, message)
    return named


def read_json(tree: Tree, path: str) -> Any:
    """Return the JSON of a small file; raise PushFailed."""
    with tree.open(path) as file:
        text = file.read(MAX_JSON)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"is no JSON ({error}); copy it again"
        raise PushFailed.about(path, Code.FILE_DAMAGED, message) from error


def _sha256(tree: Tree, path: str, hashed: Callable[[str, int], None], kept: Kept) -> str:
    size = tree.sizes[path]
    with kept.record(*tree.identity(path), size) as record:
        if record.end < size or not size:
            with tree.open(path) as file:
                file.seek(record.end)
                while body := file.read(record.part):
                    record.add(body)
                    hashed(path, len(body))
        return record.sha256


def _is_one_of(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


def _missing(tree: Tree, name: str) -> PushFailed:
    message = f"there is no {name}; vLLM needs config.json, a tokenizer and safetensors weights"
    return PushFailed.about(tree.named, Code.FILE_MISSING, message)


def _without_weights(tree: Tree, here: Sequence[str]) -> PushFailed:
    """Return the error of a place without weights that can be sent, by what it has instead."""
    save = "save the model again by transformers' `save_pretrained`, which writes safetensors"
    if shards := sorted(path for path in here if path.endswith(".safetensors")):
        message = f"there is no {INDEX}, which says what of the model is in {shards[0]}; copy it, or {save}"
        return PushFailed.about(tree.named, Code.FILE_MISSING, message)
    if pickles := sorted(path for path in here if _is_one_of(path, PICKLES)):
        message = f"{pickles[0]} is a pickle, which can run code when it is loaded, and is not sent; {save}"
        return PushFailed.about(tree.named, Code.PICKLE_REFUSED, message)
    return _missing(tree, f"{WHOLE} or {INDEX}")
