"""The contents of an edge copy: the files of a sealed artefact, an archive that runs them, a README."""

import shutil
from pathlib import Path

from build.edge.archive import archive
from build.edge.readme import readme
from contracts.manifest import MANIFEST, BrokenArtefact, Manifest, verify

FOLDER, ARCHIVE, README = "edge", "run.pyz", "README.txt"


def write_copy(artefact: Path, manifest: Manifest, folder: Path) -> None:
    """Make the folder of the copy of a sealed artefact, whose golden rows stay where they are."""
    folder.mkdir()
    for name in (MANIFEST, *(file.path for file in manifest.files)):
        shutil.copyfile(artefact / name, folder / name)
    for name, content in _added(manifest).items():
        (folder / name).write_bytes(content)


def outdated_reason(folder: Path, manifest: Manifest) -> str:
    """Return why the copy has to be made again; empty if it is a whole copy of that artefact with today's code."""
    if not folder.is_dir():
        return "its edge copy is missing"
    # The artefact by its digest, the rest by its bytes: new code makes a new archive.
    try:
        same = verify(folder).digest == manifest.digest
    except BrokenArtefact:
        same = False
    if same and all(_is(folder / name, content) for name, content in _added(manifest).items()):
        return ""
    return "its edge copy is not current"


def _added(manifest: Manifest) -> dict[str, bytes]:
    """Return the files that the copy has besides the artefact's own."""
    return {ARCHIVE: archive(), README: readme(manifest, ARCHIVE).encode()}


def _is(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content
