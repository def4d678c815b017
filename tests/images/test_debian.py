"""Debian's packages are taken as the lock pins them, from a small repository that the real apt reads."""

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from contracts.manifest import file_sha256
from images.debian.apt import unpack
from images.debian.mirrors import KEYRING, sources_of
from images.debian.packages import DebianLock, archives_of, pin, read_debian_lock
from images.errors import ImageError


class Repository:
    """A folder of packages with the list that apt reads; each package has one file that holds its version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.packages: dict[str, str] = {}

    @property
    def sources(self) -> tuple[str, ...]:
        return (f"deb [trusted=yes] copy:{self.folder} ./",)

    def offer(self, name: str, version: str, content: str = "") -> None:
        """Build a package and list it in place of its other version."""
        root = self.folder.parent / "root" / f"{name}-{version}"
        (root / "DEBIAN").mkdir(parents=True)
        fields = (
            f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
            "Maintainer: Nobody <nobody@example.com>\nDescription: made for a test\n"
        )
        (root / "DEBIAN/control").write_text(fields, "utf-8")
        (root / "usr/bin").mkdir(parents=True)
        tool = root / f"usr/bin/{name}"
        tool.write_text(content or version, "utf-8")
        tool.chmod(0o755)
        archive = self.folder / f"{name}_{version.replace(':', '.')}.deb"
        command = ["dpkg-deb", "--root-owner-group", "--build", str(root), str(archive)]
        subprocess.run(command, check=True, capture_output=True)
        facts = f"Filename: ./{archive.name}\nSize: {archive.stat().st_size}\n"
        self.packages[name] = f"{fields}{facts}SHA256: {file_sha256(archive)}\n"
        self.list()

    def list(self) -> None:
        text = "\n".join(self.packages.values())
        (self.folder / "Packages").write_text(text, "utf-8")
        (self.folder / "Packages.gz").write_bytes(gzip.compress(text.encode()))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    made.offer("libshop", "1:1.0-2")
    made.offer("shop", "2.0~rc1")
    return made


def pinned(repository: Repository, *names: str) -> DebianLock:
    return pin("trixie", names, repository.folder.parent / "pinning", repository.sources)


def refusal(lock: DebianLock, repository: Repository, cache: Path) -> str:
    with pytest.raises(ImageError) as caught:
        archives_of(lock, cache, repository.sources)
    assert {problem.code for problem in caught.value.problems} == {"base_unavailable"}
    assert [path for path in cache.iterdir() if path.suffix != ".deb"] == []
    return str(caught.value)


def test_packages_are_pinned_downloaded_once_and_unpacked(
    repository: Repository, tmp_path: Path
) -> None:
    lock = pinned(repository, "shop", "libshop")
    (tmp_path / "lock.json").write_text(lock.text(), "utf-8")
    lock = read_debian_lock(tmp_path / "lock.json")
    assert [(package.name, package.version) for package in lock.packages] == [
        ("libshop", "1:1.0-2"),
        ("shop", "2.0~rc1"),
    ]
    archives = archives_of(lock, tmp_path / "debs", repository.sources)
    assert [file_sha256(path) for path in archives] == [package.sha256 for package in lock.packages]
    unpack(archives, tmp_path / "unpacked")
    assert (tmp_path / "unpacked/usr/bin/libshop").read_text("utf-8") == "1:1.0-2"
    repository.packages.clear()
    repository.list()
    assert archives_of(lock, tmp_path / "debs", repository.sources) == archives


def test_a_package_that_was_changed_here_is_downloaded_again(
    repository: Repository, tmp_path: Path
) -> None:
    lock = pinned(repository, "shop")
    [archive] = archives_of(lock, tmp_path / "debs", repository.sources)
    archive.write_bytes(b"changed")
    assert archives_of(lock, tmp_path / "debs", repository.sources) == (archive,)
    assert file_sha256(archive) == lock.packages[0].sha256


def test_a_version_that_is_gone_is_named_with_the_script_that_pins_another(
    repository: Repository, tmp_path: Path
) -> None:
    lock = pinned(repository, "libshop", "shop")
    repository.offer("shop", "2.0")
    said = refusal(lock, repository, tmp_path / "debs")
    assert "Version '2.0~rc1' for 'shop' was not found" in said
    assert "python -m scripts.renew_bases" in said


def test_a_version_with_other_bytes_is_refused_by_name(
    repository: Repository, tmp_path: Path
) -> None:
    lock = pinned(repository, "libshop", "shop")
    shutil.rmtree(repository.folder.with_name("root"))
    repository.offer("shop", "2.0~rc1", content="other bytes")
    assert "shop 2.0~rc1 is not the file" in refusal(lock, repository, tmp_path / "debs")


def test_a_package_that_debian_does_not_have_cannot_be_pinned(
    repository: Repository, tmp_path: Path
) -> None:
    with pytest.raises(ImageError, match="till"):
        pinned(repository, "shop", "till")


def test_a_repository_that_cannot_be_reached_is_reported_with_what_apt_says(tmp_path: Path) -> None:
    sources = (f"deb [trusted=yes] copy:{tmp_path}/nothing ./",)
    with pytest.raises(ImageError, match="apt-get ended with 100: .*nothing"):
        pin("trixie", ["shop"], tmp_path / "pinning", sources)


LINES = """# deb http://old.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb [arch=amd64 trusted=no] http://mirror.example/debian bookworm main contrib
deb http://mirror.example/debian bookworm-updates main
deb https://packages.example/apt cloud main
"""
STANZAS = """Types: deb
# http://snapshot.example
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb deb-src
URIs: http://mirror.example/security
Suites:
 bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://disabled.example/debian
Suites: bookworm
Components: main
"""


@pytest.mark.parametrize(
    ("file", "text", "parts"),
    [
        ("sources.list", LINES, {"trixie": "debian"}),
        ("sources.list.d/a.list", LINES, {"trixie": "debian"}),
        ("sources.list.d/a.sources", STANZAS, {"trixie": "debian", "trixie-security": "security"}),
    ],
)
def test_another_release_comes_from_the_mirrors_of_this_machine(
    tmp_path: Path, file: str, text: str, parts: dict[str, str]
) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / file).write_text(text, "utf-8")
    assert sources_of("trixie", "bookworm", tmp_path) == tuple(
        f"deb [signed-by={KEYRING}] http://mirror.example/{folder} {suite} main"
        for suite, folder in parts.items()
    )


def test_a_machine_without_a_mirror_of_debian_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://mirror.example/ubuntu noble main\n", "utf-8")
    with pytest.raises(ImageError, match="no mirror of Debian") as caught:
        sources_of("trixie", "bookworm", tmp_path)
    assert [problem.code for problem in caught.value.problems] == ["base_unavailable"]
