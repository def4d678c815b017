"""A work folder that nobody sees, and the one rename that makes an artefact visible."""

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
# Bytes of a disk that are as good as none.
LITTLE = 1 << 20


@contextlib.contextmanager
def work_folder(out: Path) -> Iterator[Path]:
    """A folder beside the artefacts, gone when the block ends, however it ends."""
    out.mkdir(parents=True, exist_ok=True)
    _sweep(out)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=out))
    try:
        yield folder
    except Exception as error:
        if not isinstance(error, BuildError) and full(folder, error):
            raise NoSpace(
                f"no space is left on the disk of {out.resolve()} or of {tempfile.gettempdir()} ({error}); free some, "
                "or name other places by `--out` and TMPDIR, and build again"
            ) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def full(folder: Path, error: Exception) -> bool:
    """Whether a full disk is why: what writes files has errors of its own, and some say only that they failed."""
    return os.strerror(errno.ENOSPC) in str(error) or shutil.disk_usage(folder).free < LITTLE


def _sweep(out: Path) -> None:
    """Remove what killed builds left: work folders name the process they belong to."""
    for folder in out.glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if not owner.isdigit() or not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, target: Path) -> None:
    """Put a finished folder in the place of the old one, which comes back should that fail."""
    target.parent.mkdir(parents=True, exist_ok=True)
    old = folder.with_name(folder.name + ".old")
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
    write_whole(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a file that is never seen half-written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".half")
    half.write_text(text, "utf-8")
    os.replace(half, path)
