"""The base that is made where AWS's cannot be pulled: Debian's Python and what it needs, without a shell or apt.

Nothing of a package is run: what its scripts would make, such as the bundle of certificates, is made here.
"""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from images.bytecode import bytecode
from images.debian.apt import unpack
from images.debian.packages import archives_of, read_debian_lock
from images.folders.half_made import half_made
from images.interpreter import interpreter_of
from images.isolation.limits import GROUP, USER
from images.kept_layers import kept_layer
from images.layer import Entry, Layer, write_layer
from images.slimming.patterns import matches

# Another one makes bases that are kept here anew: for a change of the code that changes their bytes.
REVISION = b"2"
# The interpreter and ONNX Runtime, what both link, certificates, and the texts of the licences (base-files).
PACKAGES = (
    "base-files ca-certificates gcc-14-base libbz2-1.0 libc6 libexpat1 libffi8 libgcc-s1 liblzma5 "
    "libpython3.13-minimal libpython3.13-stdlib libssl3t64 libstdc++6 libuuid1 libzstd1 python3.13-minimal zlib1g"
).split()
STANDARD_LIBRARY = "usr/lib/python3.13"
KEPT = (
    "usr/bin/python3.13 usr/lib usr/lib64 usr/share/common-licenses usr/share/doc/*/copyright"
).split()
# What no function opens: other encodings of the C library, tools, and modules whose libraries are not in PACKAGES.
REMOVED = (
    "usr/lib/binfmt.d usr/lib/x86_64-linux-gnu/gconv usr/lib/x86_64-linux-gnu/engines-3"
).split() + [
    f"{STANDARD_LIBRARY}/{name}"
    for name in (
        "curses dbm ensurepip idlelib pydoc_data sitecustomize.py sqlite3 test tkinter turtle.py turtledemo "
        "venv lib-dynload/_curses* lib-dynload/_dbm* lib-dynload/_sqlite3* lib-dynload/readline* "
        "lib-dynload/_test* lib-dynload/_ctypes_test* lib-dynload/_xxtest* lib-dynload/xx*"
    ).split()
]
FOLDERS = "dev opt proc root run sys tmp var/runtime var/task".split()
DOCUMENTATION, CERTIFICATES = "usr/share/doc", "usr/share/ca-certificates"
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
LINKS = {
    **{name: f"usr/{name}" for name in ("bin", "lib", "lib64")},
    "etc/os-release": "../usr/lib/os-release",
    "usr/bin/python3": "python3.13",
    "usr/bin/python": "python3.13",
    # Where Debian's OpenSSL looks.
    "usr/lib/ssl/certs": "../../../etc/ssl/certs",
    "usr/lib/ssl/cert.pem": f"../../../{BUNDLE}",
}
# The user is the one that Lambda runs functions as.
TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\n"
    f"sbx_user1051:x:{USER}:{GROUP}::/home/sbx_user1051:/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n",
    "etc/group": f"root:x:0:\nsbx:x:{GROUP}:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "TZ": ":UTC",
    "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
    "PYTHONPATH": "/var/task",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
}
# The runtime interface client is among the dependencies of each function.
ENTRYPOINT = ("/usr/bin/python3.13", "-m", "awslambdaric")


def base_layer(lock: Path, work: Path, python: str) -> Layer:
    """Return the base's layer in `work/blobs`, made of a lock's packages, which are kept in `work/debs`.

    Raise ImageError for packages that cannot be had as the lock has them.
    """
    sources = lock.read_bytes() + python.encode() + REVISION
    return kept_layer(sources, work / "layers", work / "blobs", lambda: _write(lock, work, python))


def _write(lock: Path, work: Path, python: str) -> Layer:
    archives = archives_of(read_debian_lock(lock), work / "debs")
    with half_made(work) as root:
        unpack(archives, root)
        entries = [*_unpacked(root), *_made(root), *_control(archives)]
        library = [entry for entry in entries if entry.path.startswith(STANDARD_LIBRARY)]
        compiled = bytecode(library, interpreter_of(root, python))
        return write_layer([*entries, *compiled], work / "blobs")


def _unpacked(root: Path) -> Iterable[Entry]:
    """Yield the files and links of packages that are kept; folders follow from them."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            inside = path.relative_to(root).as_posix()
            # A package that shares the licence of another has a link to that one's folder.
            shared = path.is_symlink() and inside.startswith(DOCUMENTATION)
            if not (shared or matches(inside, KEPT)) or matches(inside, REMOVED):
                continue
            if path.is_symlink():
                yield Entry(path=inside, link=os.readlink(path))
            elif path.is_file():
                executable = bool(path.stat().st_mode & 0o100)
                yield Entry(path=inside, source=path, executable=executable)


def _made(root: Path) -> Iterable[Entry]:
    yield from (Entry(path=folder) for folder in FOLDERS)
    yield from (Entry(path=path, link=target) for path, target in LINKS.items())
    yield from (Entry(path=path, source=text.encode()) for path, text in TEXTS.items())
    certificates = sorted((root / CERTIFICATES).rglob("*.crt"))
    yield Entry(path=BUNDLE, source=b"".join(path.read_bytes() for path in certificates))


def _control(archives: Iterable[Path]) -> Iterable[Entry]:
    """Yield the facts of each package in the folder where scanners look in images without dpkg."""
    for archive in archives:
        command = ["dpkg-deb", "--field", str(archive)]
        fields = subprocess.run(command, check=True, capture_output=True).stdout
        name = fields.partition(b"Package: ")[2].partition(b"\n")[0].decode()
        yield Entry(path=f"var/lib/dpkg/status.d/{name}", source=fields)
