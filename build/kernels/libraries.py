"""The compiled libraries of operators: where they are, and what they were compiled of."""

import hashlib
import json
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path

from build.errors import BuildError
from build.workspace.checkout import ROOT
from contracts.manifest import Manifest, file_sha256, kernels_of

SOURCES = Path(__file__).parent
# `make kernels` makes the libraries, the compiler's environment, and a note of the sources that they were made of.
FOLDER, NOTE = ROOT / ".turnout/kernels", "libraries.json"
# The sources and the compiler's version; how it is called is in COMPILER.
DECIDING, COMPILER = (".c", ".h", ".txt"), "compile.py"
MACHINES = ("x86_64", "aarch64")


def sources_digest() -> str:
    """Return the SHA-256 of all that decides the libraries' bytes: the sources, and how they are compiled."""
    files = [path for path in SOURCES.iterdir() if path.suffix in DECIDING or path.name == COMPILER]
    lines = [f"{path.name} {file_sha256(path)}" for path in sorted(files)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def write_note(folder: Path) -> None:
    """Note in the folder what its libraries are and were compiled of."""
    libraries = {machine: file_sha256(folder / kernels_of(machine)) for machine in MACHINES}
    note = {"sources": sources_digest(), "libraries": libraries}
    (folder / NOTE).write_text(json.dumps(note, indent=2) + "\n", "utf-8")


def libraries(folder: Path = FOLDER) -> Mapping[str, Path]:
    """Return the path of each architecture's library; raise BuildError if they are not made of today's sources."""
    try:
        note = json.loads((folder / NOTE).read_text("utf-8"))
        current = note["sources"] == sources_digest()
    except (OSError, ValueError, LookupError, TypeError):
        current = False
    if not current:
        raise BuildError("they are not compiled: run `make kernels`")
    found = {machine: folder / kernels_of(machine) for machine in MACHINES}
    noted = note.get("libraries", {})
    changed = [p for m, p in found.items() if not p.is_file() or file_sha256(p) != noted.get(m)]
    if changed:
        # By its times alone make takes them for current.
        again = f"remove {folder}, then run `make kernels`"
        raise BuildError(f"{changed[0]} is not what was compiled: {again}")
    return found


def missing(folder: Path = FOLDER) -> str:
    """Return why there are no libraries of today's sources that this machine runs; empty if there are."""
    if platform.system() != "Linux" or platform.machine() not in MACHINES:
        return "they are for Linux on x86-64 and arm64"
    try:
        libraries(folder)
    except BuildError as error:
        return str(error)
    return ""


def are_others(manifest: Manifest, folder: Path = FOLDER) -> bool:
    """Return whether an artefact has libraries, and today's are there and differ."""
    sealed = {file.path: file.sha256 for file in manifest.files}
    if not manifest.has_kernels or missing(folder):
        return False
    return any(sealed.get(p.name) != file_sha256(p) for p in libraries(folder).values())


def copy_libraries(folder: Path) -> None:
    """Copy the libraries of all architectures into a candidate's folder; raise BuildError as `libraries` does."""
    for path in libraries().values():
        shutil.copyfile(path, folder / path.name)
