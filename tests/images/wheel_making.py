"""Small real wheels, and locks of them, in a folder that pip downloads from as from an index."""

import base64
import csv
import hashlib
import io
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

from contracts.manifest import file_sha256

WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def recorded(files: Mapping[str, bytes], dist_info: str) -> str:
    """Return the RECORD of files."""
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        rows.writerow([name, f"sha256={digest}", len(content)])
    rows.writerow([f"{dist_info}/RECORD", "", ""])
    return record.getvalue()


def make_wheel(
    folder: Path,
    name: str,
    files: Mapping[str, bytes],
    *,
    record: str | None = None,
    dist_info: str = "",
    modes: Mapping[str, int] | None = None,
    tag: str = "py3-none-any",
) -> Path:
    """Write a wheel of version 1.0 that anyone can install; by default its RECORD is true."""
    dist_info = dist_info or f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    whole = {
        **files,
        f"{dist_info}/METADATA": metadata.encode(),
        f"{dist_info}/WHEEL": WHEEL.encode(),
        f"{dist_info}/licenses/LICENSE": b"Do as you like.\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in whole.items():
            info = zipfile.ZipInfo(path)
            info.external_attr = (modes or {}).get(path, stat.S_IFREG | 0o600) << 16
            archive.writestr(info, content)
        archive.writestr(
            f"{dist_info}/RECORD", recorded(whole, dist_info) if record is None else record
        )
    return wheel


def write_lock(lock: Path, *wheels: Path) -> Path:
    """Write a lock of wheels."""
    lines = (
        f"{wheel.name.partition('-')[0]}==1.0 \\\n    --hash=sha256:{file_sha256(wheel)}\n"
        for wheel in wheels
    )
    lock.write_text("# made for a test\n" + "".join(lines), "utf-8")
    return lock
