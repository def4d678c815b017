"""A table's patterns divide the files of an image into what stays and the pieces that go."""

from pathlib import Path

from images.layer import Entry
from images.slimming.pieces import Slimming, read_patterns, source_of, split

FILES = (
    *("shop/__init__.py", "shop/__pycache__/__init__.cpython-313.pyc"),
    *("shop/tests/long.py", "shop/tests/__pycache__/long.cpython-313.pyc"),
    *("shop/till.py", "shop/__pycache__/till.cpython-313.pyc", "shop/till.pyi"),
)


def test_a_piece_has_the_bytecode_of_its_sources_and_each_file_is_in_one_piece() -> None:
    entries = [Entry(path=path, source=b"") for path in FILES]
    parts = split(entries, ["shop/tests", "shop/tests/long.py", "shop/till.py", "none"])
    assert [entry.path for entry in parts.kept] == [FILES[0], FILES[1], FILES[6]]
    assert {name: [entry.path for entry in piece] for name, piece in parts.pieces.items()} == {
        "shop/tests": [FILES[2], FILES[3]],
        "shop/till.py": [FILES[4], FILES[5]],
    }


def test_bytecode_has_the_source_that_python_looks_for() -> None:
    assert source_of(FILES[1]) == FILES[0]
    assert source_of("a/__pycache__/b.cpython-313.opt-1.pyc") == "a/b.py"
    assert [source_of(path) for path in ("a.pyc", "a/b.so")] == ["a.pyc", "a/b.so"]


def test_restored_pieces_stay_and_a_whole_image_has_all(tmp_path: Path) -> None:
    table = tmp_path / "unused.txt"
    table.write_text("a/b\nc/*.so\n", "utf-8")
    patterns = read_patterns(table)
    assert Slimming().chosen(patterns, "var/task") == ("var/task/a/b", "var/task/c/*.so")
    assert Slimming(restored=["c/*.so"]).chosen(patterns) == ("a/b",)
    assert Slimming(whole=True).chosen(patterns) == ()
    assert read_patterns(tmp_path / "no such table") == ()
