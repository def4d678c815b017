"""Dockerfiles, built by Podman on the base that is made of Debian's packages, without a network."""

import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tarfile import TarInfo

import pip

from images.base import Base
from images.engine.archive import archive_of, load
from images.engine.engine import Engine
from images.engine.shell import BUSYBOX, shell_entries
from images.image import Contents
from images.layer import Entry, write_layer
from images.oci.files import file_digests
from images.oci.filesystem import merged
from images.oci.layout import Settings, write_layout
from images.oci.reading import Layout, read_layout
from images.staging import Staging

# What the Dockerfiles are built on: names that Podman has in the store of the test, and nobody else.
BASES = ("public.ecr.aws/lambda/python:3.13", "public.ecr.aws/docker/library/python:3.13-slim")
# Where the base has nothing, and its PATH looks first: `pip`, what `RUN` lines call besides, and the wheels.
TOOLS = "usr/local"
PROGRAMS = ("cat", "rm")
PIP = f"""#!/usr/bin/python3.13
import os, sys
sys.path.insert(0, "/{TOOLS}/lib")
os.environ |= {{"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/{TOOLS}/wheels"}}
from pip._internal.cli.main import main
sys.exit(main())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One path of a file system: its kind, mode and owner, what a link leads to, and the SHA-256 of a file."""

    kind: bytes
    mode: int
    owner: tuple[int, int]
    link: str = ""
    digest: str = ""

    @classmethod
    def of(cls, member: TarInfo, digest: str) -> "Node":
        return cls(
            kind=tarfile.REGTYPE if member.isreg() else member.type,
            mode=member.mode,
            owner=(member.uid, member.gid),
            link=member.linkname,
            digest=digest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Podman with the bases; a folder that is mounted while it builds; and what an image has of these by its end."""

    podman: Engine
    work: Path
    tools: Path
    folder: Path
    left: frozenset[str]

    def build(self, contents: Contents) -> Path:
        """Build an image of the staged files as `cdk deploy` has it built; return the archive of its file system."""
        # A base's digest would name another image than the one in the store.
        no_digests = self.folder / "bases.json"
        no_digests.write_text("{}", "utf-8")
        self._offer_wheels()
        context = Staging(folder=self.folder / "contexts", bases=no_digests).image(contents)
        archive = self.folder / f"{contents.name}.tar"
        words = ["--platform=linux/amd64", "--layers=false", f"--tag={contents.name}"]
        words += ["--network=none", "--pull-never", f"--volume={self.tools}:/{TOOLS}:ro"]
        words += [f"--output=type=tar,dest={archive}"]
        self.podman.run("build", *words, str(context))
        return archive

    def _offer_wheels(self) -> None:
        """Link the wheels that were downloaded so far to where pip looks for them."""
        for wheel in (self.work / "wheels/cp313").glob("*/*.whl"):
            link = self.tools / "wheels" / wheel.name
            if not link.exists():
                os.link(wheel, link)


def builder(podman: Engine, base: Base, work: Path, folder: Path) -> Builder:
    """Return a builder whose bases are a base with a shell, which Dockerfiles need, and ours has not."""
    settings = Settings(environment=base.env, working_dir=base.workdir, entrypoint=base.entrypoint)
    write_layout(folder / "base", "base", [("base", layer) for layer in base.layers], settings)
    layout = read_layout(folder / "base")
    entries = [*shell_entries(merged(layout), work), Entry(path=TOOLS)]
    shell = write_layer(entries, folder / "blobs")
    for name in BASES:
        load(podman, archive_of(layout, name, [("a shell", shell)]))
    left = frozenset(entry.path for entry in entries)
    return Builder(
        podman=podman, tools=_tools(folder / "tools"), work=work, folder=folder, left=left
    )


def _tools(folder: Path) -> Path:
    for name in ("bin", "wheels"):
        (folder / name).mkdir(parents=True)
    own = Path(pip.__file__).parent
    shutil.copytree(own, folder / "lib/pip", ignore=shutil.ignore_patterns("__pycache__"))
    for name in PROGRAMS:
        (folder / "bin" / name).symlink_to(f"/usr/bin/{BUSYBOX}")
    (folder / "bin/pip").write_text(PIP, "utf-8")
    (folder / "bin/pip").chmod(0o755)
    return folder


def nodes_of_archive(archive: Path) -> dict[str, Node]:
    """Return the nodes of a file system by their paths."""
    return dict(_nodes(archive))


def _nodes(archive: Path) -> Iterator[tuple[str, Node]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            data = tar.extractfile(member) if member.isreg() else None
            digest = hashlib.sha256(data.read()).hexdigest() if data else ""
            if path := member.name.removeprefix("./").strip("/"):
                yield path, Node.of(member, digest)


def nodes_of_layout(layout: Layout) -> dict[str, Node]:
    """Return the nodes of an image that was made without an engine."""
    digests = file_digests(layout, "/")
    return {
        path: Node.of(member, digests.get(path, ""))
        for path, member in merged(layout).members.items()
    }
