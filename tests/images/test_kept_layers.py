"""A layer is made once for the same sources, and again when its blob is not what was made."""

from collections.abc import Callable
from pathlib import Path

import pytest

from images.errors import ImageError
from images.kept_layers import kept_layer
from images.layer import Entry, Layer, write_layer


class Maker:
    """A layer of one file, which counts how often it is made."""

    def __init__(self, work: Path) -> None:
        self.work, self.times = work, 0

    def __call__(self) -> Layer:
        self.times += 1
        return write_layer([Entry(path="a", source=b"a")], self.work / "blobs")


def kept(sources: bytes, work: Path, make: Callable[[], Layer]) -> Layer:
    return kept_layer(sources, work / "layers", work / "blobs", make)


def test_a_layer_is_made_once_for_the_same_sources(tmp_path: Path) -> None:
    make = Maker(tmp_path)
    first = kept(b"one", tmp_path, make)
    assert kept(b"one", tmp_path, make) == first
    assert make.times == 1
    kept(b"two", tmp_path, make)
    assert make.times == 2


@pytest.mark.parametrize("damage", ["change", "remove", "cut note"])
def test_a_layer_that_was_damaged_is_made_again(tmp_path: Path, damage: str) -> None:
    make = Maker(tmp_path)
    layer = kept(b"one", tmp_path, make)
    [note] = (tmp_path / "layers").iterdir()
    if damage == "change":
        layer.blob.write_bytes(b"x" * layer.size)
    elif damage == "remove":
        layer.blob.unlink()
    else:
        note.write_text(note.read_text("utf-8")[:20], "utf-8")
    assert kept(b"one", tmp_path, make) == layer
    assert make.times == 2
    assert kept(b"one", tmp_path, make) == layer
    assert make.times == 2


def test_nothing_is_kept_of_a_layer_that_fails(tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        kept(b"", tmp_path, lambda: write_layer([Entry(path="../a")], tmp_path / "blobs"))
    assert not (tmp_path / "layers").exists()
