"""The runtime of a slimmed image has the pieces that its proof asks for, and is proven again with them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from images.errors import ImageError
from images.image import Runtime
from images.layer import Entry
from images.slimming.function import Case
from images.slimming.pieces import Slimming
from images.slimming.proof import Slimmed
from tests.fixtures.models.golden import golden
from tests.fixtures.models.tiny import artefact
from tests.images.making import cpu, small_runtime
from turnout.image.slimming import Slim, described, proven

PIECES = {"var/task/a": 10, "var/task/b": 300, "var/task/c": 20}


def runtime(folder: Path, slimming: Slimming) -> Runtime:
    pieces = {
        name: (Entry(path=f"{name}/file", source=bytes(PIECES[name])),)
        for name in slimming.chosen(PIECES)
    }
    return replace(small_runtime(cpu(folder / "tiny/cpu"), folder / "blobs"), pieces=pieces)


def found(folder: Path, needs: Sequence[str]) -> tuple[Slim, list[list[str]]]:
    """Return what is proven of an image that needs some pieces one after another, and what each proof had removed."""
    golden(artefact(folder / "tiny/cpu"), "lovely", "awful")
    left, tried = list(needs), []

    def prove(slimmed: Slimmed, cases: Sequence[Case], work: Path) -> tuple[str, ...]:
        assert (slimmed.root / "var/task/model/manifest.json").is_file()
        assert b"lovely" in cases[0].payloads[0]
        tried.append(list(slimmed.pieces))
        return (left.pop(0),) if left else ()

    def again(slimming: Slimming) -> Runtime:
        return runtime(folder, slimming)

    contents = cpu(folder / "tiny/cpu")
    return proven(contents, again(Slimming()), again, folder / "work", prove), tried


def test_an_image_that_replies_as_a_whole_one_stays_slim(tmp_path: Path) -> None:
    slim, tried = found(tmp_path, [])
    assert (slim.restored, tried) == ((), [list(PIECES)])
    assert described(slim) == {
        "removed": [
            {"piece": "var/task/b", "files": 1, "bytes": 300},
            {"piece": "var/task/c", "files": 1, "bytes": 20},
            {"piece": "var/task/a", "files": 1, "bytes": 10},
        ],
        "restored": [],
    }


def test_a_piece_that_goes_back_is_reported_and_the_image_is_proven_with_it(tmp_path: Path) -> None:
    slim, tried = found(tmp_path, ["var/task/b"])
    assert slim.restored == ("var/task/b",)
    assert tried == [list(PIECES), ["var/task/a", "var/task/c"]]
    assert list(slim.runtime.pieces) == tried[1]
    assert described(slim)["restored"] == ["var/task/b"]


def test_an_image_that_still_differs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="although var/task/b went back") as caught:
        found(tmp_path, ["var/task/b", "var/task/a"])
    assert [(one.code, one.where) for one in caught.value.problems] == [
        ("image_unproven", "var/task/a")
    ]
