"""Bytecode is made by the Python of the base, says the image's paths, and is never checked against a time."""

import importlib.util
import marshal
import stat
import sys
from pathlib import Path

import pytest

from images.bytecode import bytecode
from images.errors import ImageError
from images.interpreter import Interpreter, interpreter_of
from images.layer import Entry

THIS = Interpreter(command=(sys.executable,))
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
SOURCE = b"NAMES = {'a', 'b', 'c'}\ndef fail():\n    raise ValueError(__debug__)\n"


def code_of(entry: Entry) -> tuple[bytes, int, str]:
    """Return the magic number, the flags and the file name of bytecode."""
    assert isinstance(entry.source, bytes)
    flags = int.from_bytes(entry.source[4:8], "little")
    return entry.source[:4], flags, marshal.loads(entry.source[16:]).co_filename


def test_bytecode_is_unchecked_and_has_the_paths_of_the_image(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_bytes(SOURCE)
    entries = [
        Entry(path="var/task/shop/two.py", source=SOURCE),
        Entry(path="var/task/one.py", source=tmp_path / "one.py"),
        Entry(path="var/task/data.txt", source=b"1 +"),
        Entry(path="var/task/folder.py"),
        Entry(path="var/task/link.py", link="one.py"),
    ]
    made = bytecode(entries, THIS)
    tag = sys.implementation.cache_tag
    assert [entry.path for entry in made] == [
        f"var/task/__pycache__/one.{tag}.pyc",
        f"var/task/shop/__pycache__/two.{tag}.pyc",
    ]
    # PEP 552: 0b01 is a hash in place of a time, 0b11 one that is checked.
    assert [code_of(entry) for entry in made] == [
        (importlib.util.MAGIC_NUMBER, 0b01, "/var/task/one.py"),
        (importlib.util.MAGIC_NUMBER, 0b01, "/var/task/shop/two.py"),
    ]


def test_bytecode_is_the_same_from_another_folder(tmp_path: Path) -> None:
    made = []
    for name in ("a", "a much longer name"):
        source = tmp_path / name / "one.py"
        source.parent.mkdir()
        source.write_bytes(SOURCE)
        made.append(bytecode([Entry(path="var/task/one.py", source=source)], THIS))
    assert made[0] == made[1]


def test_every_file_that_cannot_be_compiled_is_named() -> None:
    entries = [
        Entry(path="a.py", source=b"1 +"),
        Entry(path="b.py", source=b"\0"),
        Entry(path="c.py", source=b"x = 1"),
        Entry(path="d.py", source=b"\xff"),
    ]
    with pytest.raises(ImageError) as caught:
        bytecode(entries, THIS)
    assert [problem.where for problem in caught.value.problems] == ["/a.py", "/b.py", "/d.py"]


def test_a_python_that_fails_is_reported_with_what_it_said() -> None:
    broken = Interpreter(command=("sh", "-c", "echo no library >&2; exit 3"))
    with pytest.raises(ImageError, match="no library"):
        bytecode([Entry(path="a.py", source=b"")], broken)


def test_without_a_python_of_the_base_that_runs_one_of_its_version_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    (path / f"python{VERSION}").symlink_to(sys.executable)
    for name in ("lib64/ld-linux-x86-64.so.2", f"usr/bin/python{VERSION}"):
        file = tmp_path / "root" / name
        file.parent.mkdir(parents=True)
        file.write_text("#!/bin/sh\nexit 1\n", "utf-8")
        file.chmod(stat.S_IRWXU)
    found = interpreter_of(tmp_path / "root", VERSION, path=str(path))
    assert found.command == (str(path / f"python{VERSION}"),)


def test_where_no_python_of_the_base_runs_the_message_says_what_to_install(tmp_path: Path) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    # Another version under the name of the wanted one: its bytecode would be compiled again at each start.
    (path / "python3.2").symlink_to(sys.executable)
    with pytest.raises(ImageError, match=r"install Python 3\.2") as caught:
        interpreter_of(tmp_path, "3.2", path=str(path))
    assert [problem.code for problem in caught.value.problems] == ["base_unavailable"]
