"""The hidden work folder of a build, and the renames that publish an artefact in the place of an older one."""

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from build.errors import BuildError, NoSpace

PREFIX = ".work-"
# A disk with less free space than this counts as full.
MIN_FREE_BYTES = 1 << 20


@contextlib.contextmanager
def work_folder(out: Path) -> Iterator[Path]:
    """Yield a folder beside the artefacts, removed when the block ends; raise NoSpace for errors of a full disk."""
    out.mkdir(parents=True, exist_ok=True)
    _sweep(out)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=out))
    try:
        yield folder
    except Exception as error:
        if not isinstance(error, BuildError) and disk_is_full(folder, error):
            raise NoSpace(
                f"no space is left on the disk of {out.resolve()} or of {tempfile.gettempdir()} ({error}); free some, "
                "or name other places by `--out` and TMPDIR, and build again"
            ) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def disk_is_full(folder: Path, error: Exception) -> bool:
    """Return whether a full disk is the cause: libraries raise errors of their own for it, some without a reason."""
    return (
        os.strerror(errno.ENOSPC) in str(error) or shutil.disk_usage(folder).free < MIN_FREE_BYTES
    )


def _sweep(out: Path) -> None:
    """Remove the work folders of killed builds; each is named after its process."""
    # A build that runs beside this one keeps its folder: its process is alive.
    for folder in out.glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if not owner.isdigit() or not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, target: Path) -> None:
    """Rename a finished folder to its place; if that fails, the old folder is put back."""
    target.parent.mkdir(parents=True, exist_ok=True)
    old = folder.with_name(folder.name + ".old")
    # No single rename replaces a folder that is not empty.
    if target.exists():
        os.rename(target, old)
    try:
        os.rename(folder, target)
    except BaseException:
        if old.exists() and not target.exists():
            os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, document: object) -> None:
    write_atomically(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Write a file by a rename, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".half")
    half.write_text(text, "utf-8")
    os.replace(half, path)
