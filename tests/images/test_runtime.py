"""The runtime of an image is what its lock names, on a base, with bytecode of the base's Python."""

import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.tasks import Tier
from images.base import Base
from images.errors import ImageError
from images.image import Contents, Files
from images.layer import Entry, Layer, write_layer
from images.runtime import runtime_of
from images.slimming.pieces import Slimming
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
    names = names_in(runtime.dependencies)
    tag = sys.implementation.cache_tag
    info = {f"shop-1.0.dist-info/{n}" for n in ("METADATA", "RECORD", "WHEEL", "licenses/LICENSE")}
    shop = {"shop/__init__.py", f"shop/__pycache__/__init__.{tag}.pyc"}
    own = {"requirements.txt", "unused.txt"}
    assert names == {f"var/task/{name}" for name in (*shop, *info, *own)}
    assert list(runtime.pieces) == ["var/task/shop/tests"]
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


def test_a_cpu_function_goes_without_pieces_of_its_base_and_packages_unless_they_are_restored(
    index: Path, tmp_path: Path
) -> None:
    files = {"shop/__init__.py": b"NAME = 1\n", "shop/tests/long.py": b"pass\n"}
    lock = write_lock(tmp_path / "requirements.txt", make_wheel(index, "shop", files))
    piece, tests = "usr/lib/spare", "var/task/shop/tests"
    spare = Entry(path=f"{piece}/file", source=b"1")
    whole = write_layer((*BASE, spare), tmp_path / "base")
    slim = replace(base(tmp_path), layers=(whole,), unused=(piece, "usr/lib/none"))
    of_tier = {tier: replace(contents(lock), tier=tier) for tier in (Tier.CPU, None)}

    def found(tier: Tier | None, slimming: Slimming) -> tuple[list[str], bool, bool]:
        runtime = runtime_of(of_tier[tier], slim, tmp_path / "work", tmp_path / "blobs", slimming)
        names = {name for layer in runtime.base for name in names_in(layer)}
        kept = f"{tests}/long.py" in names_in(runtime.dependencies)
        return list(runtime.pieces), spare.path in names, kept

    assert found(Tier.CPU, Slimming()) == ([piece, tests], False, False)
    assert found(Tier.CPU, Slimming(restored=[tests])) == ([piece], False, True)
    assert found(Tier.CPU, Slimming(restored=[piece])) == ([tests], True, False)
    assert found(Tier.CPU, Slimming(whole=True)) == ([], True, True)
    assert found(None, Slimming()) == ([tests], True, False)


def test_all_else_of_a_slimmed_base_is_as_in_the_whole_one(index: Path, tmp_path: Path) -> None:
    lock = write_lock(tmp_path / "requirements.txt", make_wheel(index, "shop", {"a.py": b"1\n"}))
    entries = (*BASE, Entry(path="usr/lib/spare", source=b"1"), Entry(path="tmp"))
    whole = write_layer(entries, tmp_path / "base")
    slim = replace(base(tmp_path), layers=(whole,), unused=("usr/lib/spare",))
    of_function = replace(contents(lock), tier=Tier.CPU)
    [layer] = runtime_of(of_function, slim, tmp_path / "work", tmp_path / "blobs").base
    other = write_layer((*BASE, Entry(path="tmp")), tmp_path / "other")
    assert layer.diff_id == other.diff_id


def names_in(layer: Layer) -> set[str]:
    with tarfile.open(layer.blob) as archive:
        return {member.name for member in archive if member.isreg()}
