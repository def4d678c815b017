"""The runtime of an image is what its lock names, on a base, with bytecode of the base's Python."""

import sys
import tarfile
from pathlib import Path

import pytest

from images.base import Base
from images.errors import ImageError
from images.image import Contents, Files
from images.layer import write_layer
from images.runtime import runtime_of
from tests.images.layouts import BASE
from tests.images.wheel_making import make_wheel, write_lock

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
DOCKERFILE = b'FROM x\nENV A=1\nWORKDIR /var/task\nCMD ["handler.handler"]\n'


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip downloads from, in place of PyPI, and the interpreter that stands in for the base's."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "bin").mkdir()
    (tmp_path / f"bin/python{PYTHON}").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "index"


def base(folder: Path) -> Base:
    return Base(
        name="small",
        layers=(write_layer(BASE, folder / "base"),),
        env={"LANG": "C.UTF-8"},
        python=PYTHON,
        entrypoint=("/usr/bin/python3", "-m", "awslambdaric"),
    )


def contents(lock: Path) -> Contents:
    unused = lock.with_name("unused.txt")
    unused.write_text("shop/tests\n", "utf-8")
    files: Files = {"Dockerfile": DOCKERFILE, "requirements.txt": lock, "unused.txt": unused}
    return Contents(name="x", files=files)


def test_the_packages_of_a_lock_are_a_layer_with_their_bytecode(
    index: Path, tmp_path: Path
) -> None:
    files = {"shop/__init__.py": b"NAME = 1\n", "shop/tests/long.py": b"pass\n"}
    lock = write_lock(tmp_path / "requirements.txt", make_wheel(index, "shop", files))
    runtime = runtime_of(contents(lock), base(tmp_path), tmp_path / "work", tmp_path / "blobs")
    with tarfile.open(runtime.dependencies.blob) as archive:
        names = {member.name for member in archive if member.isreg()}
    tag = sys.implementation.cache_tag
    info = {f"shop-1.0.dist-info/{n}" for n in ("METADATA", "RECORD", "WHEEL", "licenses/LICENSE")}
    shop = {"shop/__init__.py", f"shop/__pycache__/__init__.{tag}.pyc"}
    own = {"requirements.txt", "unused.txt"}
    assert names == {f"var/task/{name}" for name in (*shop, *info, *own)}
    assert runtime.settings.environment == {"LANG": "C.UTF-8"}
    assert runtime.settings.entrypoint[0] == "/usr/bin/python3"


def test_a_wheel_with_another_hash_than_the_lock_says_makes_no_layer(
    index: Path, tmp_path: Path
) -> None:
    lock = write_lock(tmp_path / "requirements.txt", make_wheel(index, "shop", {"a.py": b"1\n"}))
    make_wheel(index, "shop", {"a.py": b"2\n"})
    with pytest.raises(ImageError, match="shop"):
        runtime_of(contents(lock), base(tmp_path), tmp_path / "work", tmp_path / "blobs")
    assert not (tmp_path / "blobs").exists()
