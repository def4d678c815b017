"""The cache of a build: an entry is reused as it was made, or made again."""

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from build.workspace.cache import Cache


def weights(folder: Path) -> None:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"weights")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def changed(path: Path) -> None:
    path.write_bytes(b"weighty")


def test_what_was_made_of_the_same_is_taken_and_of_another_is_not(tmp_path: Path) -> None:
    numbers = count(1)
    found = [
        Cache(tmp_path).value(lambda: [next(numbers), "é"], "answers", of=source)
        for source in ("a", "a", "b")
    ]
    assert found == [[1, "é"], [1, "é"], [2, "é"]]


@pytest.mark.parametrize("spoil", [emptied, changed, Path.unlink])
def test_what_is_not_as_it_was_made_is_made_again(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    folder = Cache(tmp_path).file(weights, "candidate", of="a")
    spoil(folder / "model.onnx")
    again = Cache(tmp_path).file(weights, "candidate", of="a")
    assert again == folder
    assert (again / "model.onnx").read_bytes() == b"weights"


@pytest.mark.parametrize("spoil", [emptied, changed, Path.unlink])
def test_a_value_is_made_again_as_well(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    Cache(tmp_path).value(lambda: {"a": 1}, "answers", of="a")
    (path,) = tmp_path.glob("*.json")
    spoil(path)
    assert Cache(tmp_path).value(lambda: {"a": 2}, "answers", of="a") == {"a": 2}
    assert Cache(tmp_path).value(lambda: {"a": 3}, "answers", of="a") == {"a": 2}


def test_of_two_builds_that_make_the_same_the_second_takes_what_the_first_has_made(
    tmp_path: Path,
) -> None:
    def overtaken(folder: Path) -> None:
        weights(folder)
        Cache(tmp_path).file(weights, "candidate", of="a")

    found = Cache(tmp_path).file(overtaken, "candidate", of="a")
    assert [path.name for path in found.iterdir()] == ["model.onnx"]
    assert not list(tmp_path.glob(".half-*"))


def test_what_this_process_did_not_finish_is_swept(tmp_path: Path) -> None:
    cache, own = Cache(tmp_path), tmp_path / f".half-{os.getpid()}-abc/candidate"
    kept, other = cache.file(weights, "candidate", of="a"), tmp_path / ".half-1-abc"
    own.mkdir(parents=True)
    other.mkdir()
    cache.sweep()
    assert sorted(tmp_path.iterdir()) == [other, kept, kept.with_name(kept.name + ".sha256")]


def test_what_a_build_did_not_use_is_removed(tmp_path: Path) -> None:
    old = Cache(tmp_path)
    old.file(weights, "candidate", of="older")
    old.value(lambda: 1, "answers", of="older")
    cache = Cache(tmp_path)
    kept = cache.file(weights, "candidate", of="a")
    cache.prune()
    assert sorted(tmp_path.iterdir()) == [kept, kept.with_name(kept.name + ".sha256")]
