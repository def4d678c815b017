"""Renew the base images: the digests in `images/bases.json`, and the versions in the locks of Debian's packages.

    python -m scripts.renew_bases           all of them, and busybox, which images get for SAM alone
    python -m scripts.renew_bases debian    one

A digest whose registry cannot be reached stays as it is, and the command ends with 1 after it has renewed the others.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from images.base import TABLE, BaseRow, read_table, record
from images.debian.layer import PACKAGES
from images.debian.packages import pin, read_debian_lock
from images.engine.shell import LOCK as BUSYBOX
from images.errors import ImageError
from images.registry.pull import resolve

NONE: Mapping[str, Path] = {}


def main(names: list[str], table: Path = TABLE, locks: Mapping[str, Path] = NONE) -> int:
    """Renew bases and other locks by name, or all; print what has changed. Return 1 if one could not be renewed."""
    rows = read_table(table)
    known = [*rows, *locks]
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"{', '.join(unknown)}: there are {', '.join(known)}")
    failed = 0
    for name in names or known:
        try:
            changes = (
                _renew_lock(locks[name], own_names(locks[name]))
                if name in locks
                else _renew(name, rows[name], table)
            )
        except ImageError as error:
            print(error, file=sys.stderr)
            failed = 1
        else:
            print(f"{name}: {', '.join(changes) or 'is current'}")
    return failed


def _renew(name: str, row: BaseRow, table: Path) -> list[str]:
    if row.lock:
        return _renew_lock(table.parent / row.lock, PACKAGES)
    digest = resolve(row.image)
    if digest == row.digest:
        return []
    record(name, digest, table)
    return [f"{row.digest or 'no digest'} -> {digest}"]


def own_names(lock: Path) -> list[str]:
    """Return the names of the packages that a lock has."""
    return [package.name for package in read_debian_lock(lock).packages]


def _renew_lock(lock: Path, names: Sequence[str]) -> list[str]:
    old = read_debian_lock(lock)
    with tempfile.TemporaryDirectory() as work:
        new = pin(old.release, names, Path(work))
    lock.write_text(new.text(), "utf-8")
    versions = {package.name: package.version for package in old.packages}
    return [
        f"{package.name} {versions.get(package.name, 'new')} -> {package.version}"
        for package in new.packages
        if package not in old.packages
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], locks={"busybox": BUSYBOX}))
