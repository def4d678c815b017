"""Wheels are unpacked as they would be installed; one that is not what its lock and its RECORD say is refused."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.manifest import file_sha256
from images.errors import ImageError
from images.layer import write_layer
from images.slimming.patterns import matches
from images.slimming.pieces import read_patterns, split
from images.wheel_files.locks import read_lock
from images.wheel_files.unpacking import unpack_wheel
from images.wheels import dependencies
from tests.fixtures.paths import ROOT
from tests.images.wheel_making import make_wheel, recorded, write_lock

FILES = {
    "shop/__init__.py": b"NAME = 'shop'\n",
    "shop/fast.so": b"\x7fELF",
    "shop-1.0.data/purelib/extra.py": b"EXTRA = 1\n",
    "shop-1.0.data/data/share/shop.txt": b"goods\n",
    "shop-1.0.data/scripts/shop": b"#!python\n",
    "shop/__pycache__/old.cpython-311.pyc": b"old",
}
METADATA = {
    "shop-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n",
    "shop-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "shop-1.0.dist-info/licenses/LICENSE": b"Do as you like.\n",
}
DIST_INFO = "shop-1.0.dist-info"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip downloads from, in place of PyPI."""
    folder = tmp_path / "index"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def refusals(make: Callable[[], object]) -> set[tuple[str, str, str]]:
    """Return code, place and message of each problem that is found."""
    with pytest.raises(ImageError) as caught:
        make()
    return {
        (problem.code.value, problem.where, problem.message) for problem in caught.value.problems
    }


def places(make: Callable[[], object]) -> dict[str, str]:
    return {where: code for code, where, _ in refusals(make)}


def test_each_file_is_where_the_wheel_specification_puts_it_with_licences(tmp_path: Path) -> None:
    modes = {"shop/fast.so": stat.S_IFREG | 0o755}
    wheel = make_wheel(tmp_path, "shop", FILES, modes=modes)
    files = unpack_wheel(wheel, tmp_path / "out")
    names = ("METADATA", "RECORD", "WHEEL", "licenses/LICENSE")
    assert [file.path for file in files] == [
        "extra.py",
        "share/shop.txt",
        *(f"{DIST_INFO}/{name}" for name in names),
        "shop/__init__.py",
        "shop/fast.so",
    ]
    assert [file.path for file in files if file.executable] == ["shop/fast.so"]
    found = {file.path: file.source.read_bytes() for file in files}
    assert found["extra.py"] == b"EXTRA = 1\n"
    on_disk = {
        path.relative_to(tmp_path / "out").as_posix()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert on_disk == set(found)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda files: files.update({"shop/__init__.py": b"NAME = 'shot'\n"}), "shop/__init__.py"),
        (lambda files: files.update({"shop/__init__.py": b"NAME = 'shop'\n#"}), "shop/__init__.py"),
        (lambda files: files.update({"shop/more.py": b""}), "shop/more.py"),
        (lambda files: files.pop("shop/fast.so"), "shop/fast.so"),
    ],
    ids=["other bytes", "more bytes", "not recorded", "not there"],
)
def test_a_wheel_that_its_record_does_not_match_is_refused_and_nothing_is_written(
    tmp_path: Path, change: Callable[[dict[str, bytes]], object], place: str
) -> None:
    record = recorded({**FILES, **METADATA}, DIST_INFO)
    files = dict(FILES)
    change(files)
    wheel = make_wheel(tmp_path / "wheels", "shop", files, record=record)
    assert places(lambda: unpack_wheel(wheel, tmp_path / "out/shop"))[place] == "file_damaged"
    assert list(tmp_path.glob("out/*")) == []


def test_a_refused_wheel_leaves_what_lay_in_its_place(tmp_path: Path) -> None:
    good = make_wheel(tmp_path / "good", "shop", FILES)
    before = unpack_wheel(good, tmp_path / "out")
    bad = make_wheel(tmp_path / "bad", "shop", FILES, record="")
    assert len(refusals(lambda: unpack_wheel(bad, tmp_path / "out"))) == len(FILES) + len(METADATA)
    assert {file.path: file.source.read_bytes() for file in before}["extra.py"] == b"EXTRA = 1\n"


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil", "shop/../../evil", "a\\evil", "./a"])
def test_a_path_that_leads_out_is_refused_by_name(tmp_path: Path, name: str) -> None:
    wheel = make_wheel(tmp_path / "wheels", "shop", {**FILES, name: b"evil"})
    assert places(lambda: unpack_wheel(wheel, tmp_path / "out/in")) == {name: "file_outside"}
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "shop-1.0-py3-none-any.whl",
        "wheels",
    ]


def test_a_data_path_cannot_lead_out_either(tmp_path: Path) -> None:
    evil = {"shop-1.0.data/data/../../../evil": b""}
    wheel = make_wheel(tmp_path, "shop", evil)
    assert list(places(lambda: unpack_wheel(wheel, tmp_path / "out")).values()) == ["file_outside"]


def test_what_was_unpacked_is_kept_unless_a_byte_of_it_was_changed(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "shop", FILES)
    first = unpack_wheel(wheel, tmp_path / "out")
    kept = (tmp_path / "out").stat().st_ino
    assert unpack_wheel(wheel, tmp_path / "out") == first
    assert (tmp_path / "out").stat().st_ino == kept
    for place, content in (("extra.py", b"EXTRA = 2\n"), (f"{DIST_INFO}/RECORD", b"")):
        before = (tmp_path / "out" / place).read_bytes()
        (tmp_path / "out" / place).write_bytes(content)
        assert unpack_wheel(wheel, tmp_path / "out") == first
        assert (tmp_path / "out" / place).read_bytes() == before
    (tmp_path / "out/extra.py").unlink()
    (tmp_path / "out/extra.py").symlink_to(tmp_path / "out/shop/__init__.py")
    unpack_wheel(wheel, tmp_path / "out")
    assert not (tmp_path / "out/extra.py").is_symlink()


def test_links_other_schemes_and_other_metadata_are_refused(tmp_path: Path) -> None:
    link = make_wheel(
        tmp_path / "link", "shop", {"shop/link": b"/etc"}, modes={"shop/link": stat.S_IFLNK | 0o777}
    )
    headers = make_wheel(tmp_path / "headers", "shop", {"shop-1.0.data/headers/a.h": b""})
    other = make_wheel(tmp_path / "other", "shop", FILES, dist_info="till-1.0.dist-info")
    assert "is a link" in str(refusals(lambda: unpack_wheel(link, tmp_path / "out")))
    assert "headers" in str(refusals(lambda: unpack_wheel(headers, tmp_path / "out")))
    assert "till-1.0.dist-info" in str(refusals(lambda: unpack_wheel(other, tmp_path / "out")))
    twice = make_wheel(tmp_path / "twice", "shop", {"a.py": b"", "shop-1.0.data/platlib/a.py": b""})
    assert "installed twice" in str(refusals(lambda: unpack_wheel(twice, tmp_path / "out")))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("length", [0, 10, 300])
def test_a_wheel_that_is_cut_short_is_refused(tmp_path: Path, length: int) -> None:
    wheel = make_wheel(tmp_path, "shop", FILES)
    wheel.write_bytes(wheel.read_bytes()[:length])
    assert places(lambda: unpack_wheel(wheel, tmp_path / "out")) == {"": "file_damaged"}
    assert not (tmp_path / "out").exists()


def test_every_line_of_a_lock_that_is_not_pinned_with_hashes_is_named(tmp_path: Path) -> None:
    digest = f"--hash=sha256:{'0' * 64}"
    lock = tmp_path / "requirements.txt"
    lock.write_text(
        f"fine==1.0 {digest}\nunhashed==1.0\nloose>=1.0 {digest}\nmarked==1.0 ; os_name == 'nt' {digest}\n"
        f"Fine==1.0 {digest}\n-r other.txt\nshort==1.0 --hash=sha256:00\n",
        "utf-8",
    )
    assert places(lambda: read_lock(lock)) == dict.fromkeys(
        ["unhashed==1.0", "loose>=1.0", "marked==1.0", "Fine==1.0", "-r", "short==1.0"],
        "dependency_refused",
    )
    lock.write_text("# nothing\n", "utf-8")
    assert places(lambda: read_lock(lock)) == {"": "dependency_refused"}


def test_dependencies_are_those_of_the_lock_the_same_in_another_folder_and_umask(
    tmp_path: Path, index: Path
) -> None:
    shop = make_wheel(index, "shop", FILES)
    till = make_wheel(index, "till", {"till.py": b"", "shop/till.py": b""})
    make_wheel(index, "spare", {"spare.py": b""})
    lock = write_lock(tmp_path / "requirements.txt", till, shop)
    layers = []
    for folder, umask in (("one", 0o022), ("two", 0o077)):
        old = os.umask(umask)
        try:
            whole = dependencies(lock, tmp_path / folder)
            entries = split(whole, ["var/task/shop/f*.so", "var/task/share"]).kept
            layers.append(write_layer(entries, tmp_path / folder / "blobs"))
        finally:
            os.umask(old)
    paths = [entry.path for entry in entries]
    assert paths == sorted(paths)
    assert [path for path in paths if ".dist-info" not in path] == [
        f"var/task/{path}" for path in ("extra.py", "shop/__init__.py", "shop/till.py", "till.py")
    ]
    assert (layers[0].diff_id, layers[0].digest) == (layers[1].diff_id, layers[1].digest)


def test_a_wheel_with_another_digest_than_the_lock_is_refused_by_name(
    tmp_path: Path, index: Path
) -> None:
    shop = make_wheel(index, "shop", FILES)
    till = make_wheel(index, "till", {"till.py": b""})
    lock = write_lock(tmp_path / "requirements.txt", shop, till)
    make_wheel(index, "till", {"till.py": b"import os\n"})
    found = refusals(lambda: dependencies(lock, tmp_path / "work"))
    assert [code for code, _, _ in found] == ["dependency_refused"]
    assert "till" in str(found)
    assert not (tmp_path / "work/unpacked").exists()


def test_a_cached_wheel_that_was_changed_is_downloaded_again(tmp_path: Path, index: Path) -> None:
    lock = write_lock(tmp_path / "requirements.txt", make_wheel(index, "shop", FILES))
    dependencies(lock, tmp_path / "work")
    [cached] = (tmp_path / "work/wheels").rglob("*.whl")
    make_wheel(cached.parent, "shop", {"shop/__init__.py": b"import evil\n"})
    entries = {entry.path: entry.source for entry in dependencies(lock, tmp_path / "work")}
    source = entries["var/task/shop/__init__.py"]
    assert isinstance(source, Path)
    assert source.read_bytes() == FILES["shop/__init__.py"]


def test_a_lock_whose_wheels_are_cached_needs_no_network(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = write_lock(tmp_path / "requirements.txt", make_wheel(index, "shop", FILES))
    first = dependencies(lock, tmp_path / "work")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    assert dependencies(lock, tmp_path / "work") == first


def test_wheels_are_those_that_run_on_the_older_of_the_bases(tmp_path: Path, index: Path) -> None:
    best = ("cp313-cp313-manylinux_2_34_x86_64", "cp39-abi3-manylinux2014_x86_64")
    others = (
        "cp313-cp313-manylinux_2_35_x86_64",
        "cp313-cp313-win_amd64",
        "cp312-cp312-manylinux1_x86_64",
    )
    shops = [make_wheel(index, "shop", {f"{tag}.py": b""}, tag=tag) for tag in (best[0], *others)]
    tills = [make_wheel(index, "till", {f"{tag}.py": b""}, tag=tag) for tag in (best[1], *others)]
    lock = tmp_path / "requirements.txt"
    lines = [
        " ".join([f"{name}==1.0", *(f"--hash=sha256:{file_sha256(wheel)}" for wheel in wheels)])
        for name, wheels in (("shop", shops), ("till", tills))
    ]
    lock.write_text("\n".join(lines), "utf-8")
    assert {
        entry.path
        for entry in dependencies(lock, tmp_path / "work")
        if ".dist-info" not in entry.path
    } == {f"var/task/{tag}.py" for tag in best}


def test_two_wheels_with_one_file_are_refused_and_so_is_a_file_in_a_file(
    tmp_path: Path, index: Path
) -> None:
    shop = make_wheel(index, "shop", {"shared.py": b"1", "goods": b""})
    till = make_wheel(index, "till", {"shared.py": b"1", "goods/till.py": b""})
    lock = write_lock(tmp_path / "requirements.txt", shop, till)
    found = refusals(lambda: dependencies(lock, tmp_path / "work"))
    assert {(code, where) for code, where, _ in found} == {
        ("dependency_refused", "shared.py"),
        ("dependency_refused", "goods"),
    }
    assert all("shop-1.0" in message and "till-1.0" in message for _, _, message in found)


def test_patterns_are_those_of_a_shell() -> None:
    assert matches("a/b/c.so.1", ["a/b/c.so.*"])
    assert matches("a/b/c/d.py", ["a/b"])
    assert not matches("a/b/c.so.1", ["a/*.so.*", "a/b/c.so", "b"])
    assert not matches("a", ["a/b"])


def test_the_cpu_function_does_without_what_its_dockerfile_removes() -> None:
    """The Dockerfile and the images that need no engine read the patterns in one file."""
    folder = ROOT / "functions/cpu"
    dockerfile = (folder / "Dockerfile").read_text("utf-8")
    assert "COPY requirements.txt unused.txt ./\n" in dockerfile
    assert "&& rm -rf bin $(cat unused.txt)\n" in dockerfile
    patterns = read_patterns(folder / "unused.txt")
    assert matches("onnxruntime/capi/libonnxruntime.so.1.28.0", patterns)
    assert not any(pattern.startswith(("/", "-")) or ".." in pattern for pattern in patterns)
