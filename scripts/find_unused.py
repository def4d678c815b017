"""Find what the images of CPU functions do without: the files that no request of any task opens.

    python -m scripts.find_unused           on the base `debian`; as root, since the kernel's fanotify takes it

A tiny model of every family is built, and its function is started in a whole image and given every case of the proof:
golden requests, wrong ones, and a start without a model; of the encoders on OpenVINO, one. `functions/cpu/unused.txt`,
`functions/cpu/openvino/unused.txt` and `images/debian/unused.txt` are written anew. Licences, notices and the metadata
of packages stay, whatever was opened.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from contracts.manifest import read_manifest
from contracts.tasks import Tier
from images.base import TABLE
from images.image import OWN, Contents
from images.root import unpack_layers
from images.runtime import UNUSED, runtime_on
from images.slimming.cases import cases
from images.slimming.function import replies
from images.slimming.grouping import patterns_of
from images.slimming.pieces import Slimming, source_of
from images.slimming.proof import place_entries
from images.slimming.tracing import opened_below
from images.staging import OPENVINO, ROOT, model_files
from tests.fixtures.families import ON_OPENVINO, SMALL, Builds, requests_of

BASE = "debian"
WORK = ROOT / ".turnout/images"
TASK_ROOT, LIBRARIES = "var/task", "usr/lib"
# What their authors ask to be kept, and what scanners read; code of such a name is code.
NOTICES = tuple("*.dist-info/* *LICEN[CS]E* *COPYING* *NOTICE* *Notices* *Privacy*".split())
# Modules that are frozen into the interpreter, which looks for the file of the first to find its library, and shows
# lines of the others in stacks.
FROZEN = (
    "os abc codecs io site stat posixpath genericpath ntpath runpy zipimport _collections_abc _sitebuiltins "
    "importlib/__init__ importlib/_bootstrap importlib/_bootstrap_external importlib/machinery importlib/util "
    "importlib/abc importlib/_abc"
).split()
# Encodings that text, addresses and escapes have, whatever a library does with them.
ENCODINGS = "utf_* ascii latin_1 idna punycode *unicode_escape charmap *_codec".split()
# Small libraries that the C library or another one opens by need: name services, older names of its parts.
LIBRARIES_BY_NEED = "nss_* resolv.* pthread.* dl.* rt.* util.* anl.*".split()
STAYS = (
    *("usr/lib/os-release", "usr/lib/ssl/*"),
    # Lambda's own client does on Lambda what no trace here sees: snapshots, telemetry.
    *("var/task/awslambdaric/*", "var/task/snapshot_restore_py.py"),
    *(f"usr/lib/python3*/{name}.py" for name in FROZEN),
    # Imported by name from C code, for long numbers.
    "usr/lib/python3*/_pylong.py",
    *(f"*/encodings/{name}.py" for name in ENCODINGS),
    *(f"*/lib{name}" for name in LIBRARIES_BY_NEED),
)


# What OpenVINO imports if it can, and then does without: its converter of models.
NEEDLESS = "openvino/tools"


def main() -> None:
    """Trace the function of every family, and write the tables."""
    with run_folder(WORK) as folder:
        builds = Builds(Path(folder) / "builds")
        builds.folder.mkdir()
        first = traced(SMALL, builds, Path(folder) / "root")
        second = traced([ON_OPENVINO], builds, Path(folder) / "second")
    for name, found in (("cpu", first), (OPENVINO, second)):
        needless = [NEEDLESS] if name == OPENVINO else []
        patterns = sorted([*unused_below(TASK_ROOT, *found), *needless])
        write(ROOT / "functions" / name / UNUSED, patterns)
    used = first.opened | second.opened
    base = [f"{LIBRARIES}/{pattern}" for pattern in unused_below(LIBRARIES, first.files, used)]
    write(TABLE.with_name("debian") / UNUSED, base)


def run_folder(work: Path) -> "tempfile.TemporaryDirectory[str]":
    """Return a folder for one run below another, which a fresh checkout does not have."""
    work.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="unused-", dir=work)


class Traced(NamedTuple):
    """The files of a whole image, and those that were opened."""

    files: set[str]
    opened: set[str]


def traced(names: Iterable[str], builds: Builds, root: Path) -> Traced:
    """Trace the functions of small models that have one image but for their artefacts; it is made at `root`."""
    opened: set[str] = set()
    for name in names:
        requests = requests_of(name, builds.folder)
        opened |= trace(builds[name].artefact, requests, root, builds.folder)
        print(f"{name}: {len(opened)} files opened so far", file=sys.stderr, flush=True)
    files, links = set(_files(root)), dict(_links(root))
    opened |= {link for link, target in links.items() if target in opened}
    return Traced(files=files | set(links), opened=opened)


def trace(artefact: Path, requests: Iterable[dict[str, Any]], root: Path, folder: Path) -> set[str]:
    """Return the files of a whole image that the cases of an artefact open; the image is made at the first."""
    contents = Contents(name="traced", files=model_files(Tier.CPU, artefact), tier=Tier.CPU)
    runtime = runtime_on(contents, BASE, WORK, folder, Slimming(whole=True))
    settings = contents.settings(runtime.settings)
    if not root.exists():
        unpack_layers([*runtime.base, runtime.dependencies], root)
        # Left out before the trace, so that what it would import is not opened either.
        shutil.rmtree(root / TASK_ROOT / NEEDLESS, ignore_errors=True)
    own = [entry for layer in OWN for entry in contents.entries(layer, settings.working_dir)]
    place_entries([*own, *runtime.bytecode(own)], root)
    task = read_manifest(artefact).task
    with opened_below(root) as opened:
        for case in cases(task, requests):
            for reply in replies(root, settings, case):
                if reply.kind == "ended":
                    sys.exit(f"{artefact}: the function ended: {reply.payload.decode()}")
    return opened.paths


def unused_below(folder: str, files: Iterable[str], opened: Iterable[str]) -> list[str]:
    """Return patterns, relative to a folder, of what was never opened below it."""
    used = {source_of(path) for path in opened}
    inside = {source_of(path) for path in files if path.startswith(f"{folder}/")}
    own = {
        path
        for path in inside
        if path.startswith(
            (f"{TASK_ROOT}/functions/", f"{TASK_ROOT}/contracts/", f"{TASK_ROOT}/model/")
        )
    }
    locks = {
        path
        for path in inside
        if PurePosixPath(path).parent == PurePosixPath(TASK_ROOT) and path.endswith(".txt")
    }
    others = {
        path for path in inside if path in used or path in own or path in locks or _stays(path)
    }
    relative = [
        {path.removeprefix(f"{folder}/") for path in some} for some in (inside - others, others)
    ]
    return patterns_of(*relative)


def _stays(path: str) -> bool:
    patterns = STAYS if path.endswith((".py", ".so")) else (*STAYS, *NOTICES)
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _files(root: Path) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        for name in names:
            if not (path := Path(folder, name)).is_symlink():
                yield path.relative_to(root).as_posix()


def _links(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each link to a file of a root with that file's path, which is what the kernel reports."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink() and path.resolve().is_relative_to(root.resolve()):
                target = path.resolve().relative_to(root.resolve())
                yield path.relative_to(root).as_posix(), target.as_posix()


def write(table: Path, patterns: Iterable[str]) -> None:
    table.write_text("".join(f"{pattern}\n" for pattern in patterns), "utf-8")
    print(json.dumps({"table": str(table.relative_to(ROOT)), "patterns": len(list(patterns))}))


if __name__ == "__main__":
    main()
