"""Weights of a repository on this machine, where something here is to serve them: fetched once, and compared."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from contracts.manifest import SealedFile
from contracts.problems import Code
from contracts.weights.pushed import Weights
from turnout.push.errors import PushFailed
from turnout.push.tree import Tree

# Weights by their digest; any of them may be deleted.
FETCHED = Path(".turnout/weights")
BLOCK = 1 << 20


def are_here(weights: Weights, folder: Path) -> bool:
    """Return whether all files of weights are in a folder, each of its size."""
    return all(_size(folder / file.path) == file.size for file in weights.files)


def fetch(tree: Tree, weights: Weights, folder: Path, say: Callable[[str], None]) -> None:
    """Have weights in a folder; what an earlier run fetched stays. Raise PushFailed, and OSError for a full disk."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in weights.files:
        if _size(folder / file.path) != file.size:
            say(f"{tree.origin}: fetching {file.path}, {file.size / 1e6:,.1f} MB")
            _fetch(tree, file, folder / file.path)


def _fetch(tree: Tree, file: SealedFile, target: Path) -> None:
    half = target.with_name(f"{target.name}.half")
    digest = hashlib.sha256()
    with half.open("a+b") as kept, tree.open(file.path) as reader:
        kept.seek(0)
        while block := kept.read(BLOCK):
            digest.update(block)
        reader.seek(kept.tell())
        while block := reader.read(BLOCK):
            digest.update(block)
            kept.write(block)
    if digest.hexdigest() != file.sha256:
        half.unlink()
        message = "has other bytes on the hub than were pushed; run `turnout push` again"
        raise PushFailed.about(file.path, Code.WEIGHTS_DIFFER, message)
    os.replace(half, target)


def _size(path: Path) -> int:
    """Return the bytes of a file, -1 without one."""
    return path.stat().st_size if path.is_file() else -1
