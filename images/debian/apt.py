"""Debian's packages, downloaded by apt and unpacked by dpkg without root: nothing is installed on this machine."""

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from images.folders.half_made import check_space

TOOLS = ("apt-get", "apt-cache", "dpkg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Apt:
    """An apt with lists, a status and settings of its own in a folder.

    Without sources it has those of this machine. Each method raises CalledProcessError if apt fails.
    """

    folder: Path
    architecture: str
    sources: tuple[str, ...] = ()

    def update(self) -> None:
        """Download the lists of packages."""
        for folder in ("lists/partial", "cache/archives/partial"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        if self.sources:
            (self.folder / "sources.list").write_text("\n".join([*self.sources, ""]), "utf-8")
        self._run("apt-get", "update")

    def download_with_dependencies(self, packages: Iterable[str]) -> list[Path]:
        """Download packages and all that they depend on; return the archives by name."""
        self._run("apt-get", "install", "--yes", "--download-only", *packages)
        return sorted((self.folder / "cache/archives").glob("*.deb"))

    def download(self, packages: Iterable[str], into: Path) -> list[Path]:
        """Download packages alone, which may be NAME=VERSION, into a folder; return the archives by name."""
        into.mkdir(parents=True, exist_ok=True)
        self._run("apt-get", "download", *packages, cwd=into)
        return sorted(into.glob("*.deb"))

    def newest(self, packages: Iterable[str]) -> list[dict[str, str]]:
        """Return the fields of the newest version of each package."""
        shown = self._run("apt-cache", "--no-all-versions", "show", *packages)
        return [_fields(text) for text in shown.split("\n\n") if text.strip()]

    def _run(self, tool: str, *words: str, cwd: Path | None = None) -> str:
        """Run a tool; return what it prints. Raise CalledProcessError, which has the error as its `stderr`."""
        command = self._command(tool, *words)
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
        check_space(done.stderr, self.folder)
        done.check_returncode()
        return done.stdout

    def _command(self, tool: str, *words: str) -> list[str]:
        folder = self.folder.resolve()
        settings = {
            "Dir::State": folder,
            # An empty status: nothing counts as installed, so every dependency is downloaded.
            "Dir::State::status": folder / "status",
            "Dir::State::lists": folder / "lists",
            "Dir::Cache": folder / "cache",
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            # apt would download as the user _apt, who cannot write here.
            "APT::Sandbox::User": "",
            "APT::Install-Recommends": "false",
            "Acquire::Languages": "none",
        }
        if self.sources:
            settings |= {
                "Dir::Etc::sourcelist": folder / "sources.list",
                "Dir::Etc::sourceparts": "/nonexistent",
            }
        return [tool, "-qq", *(f"-o{name}={value}" for name, value in settings.items()), *words]


def missing_tools() -> str:
    """Return the tools of Debian that this machine lacks, for a sentence; nothing if it has all."""
    return " and ".join(tool for tool in TOOLS if not shutil.which(tool))


def unpack(archives: Sequence[Path], root: Path) -> None:
    """Unpack packages into a folder as its owner: installing takes root, and runs the packages' own scripts.

    Raise CalledProcessError for one that dpkg cannot unpack, and OSError if the disk is full.
    """
    root.mkdir(parents=True, exist_ok=True)
    for archive in archives:
        command = ["dpkg", "-x", str(archive), str(root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        check_space(done.stderr, root)
        done.check_returncode()


def _fields(text: str) -> dict[str, str]:
    lines = (line.partition(": ") for line in text.splitlines() if not line.startswith(" "))
    return {name: value for name, colon, value in lines if colon}
