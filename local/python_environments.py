"""Python environments with one function's locked dependencies and nothing else."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from images.image import LOCK, LOCK_WITHOUT_CUDA
from local.errors import LocalError

# The first lock file of an image that exists is installed: the GPU image has one for laptops without a GPU.
LOCKS = (LOCK_WITHOUT_CUDA, LOCK)


def lock_of(root: Path) -> Path:
    """Return the lock file of an image or of a function's folder; raise LocalError."""
    for name in LOCKS:
        if (root / name).is_file():
            return root / name
    raise LocalError(
        f"{root} has no {LOCKS[-1]}, so its dependencies are not known; copy one into the image"
    )


def python_for(root: Path, cache: Path, report: Callable[[str], None]) -> Path:
    """Return the interpreter of an environment with exactly the locked packages; it is made if missing."""
    lock = lock_of(root)
    # Wheels are built for one version of Python.
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    python = cache.resolve() / key / "bin/python"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f".{key}.lock"):
        if not python.exists():
            report(f"installing {lock.parent.name}/{lock.name}")
            _make(cache.resolve() / key, lock)
    return python


def _make(target: Path, lock: Path) -> None:
    # A half-made environment is never visible: it is made beside its place and moved there by one rename.
    shutil.rmtree(target, ignore_errors=True)
    half = Path(tempfile.mkdtemp(prefix=".half-", dir=target.parent))
    try:
        # The base interpreter: `sys.executable` may belong to a virtual environment, which may be removed.
        python = getattr(sys, "_base_executable", sys.executable)
        # Relocatable, because scripts name the folder of their environment, and this one is renamed below.
        _uv("venv", "--quiet", "--python", python, "--relocatable", "--allow-existing", str(half))
        install = (
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--compile-bytecode",
        )
        _uv(*install, "--python", str(half / "bin/python"), "--requirements", str(lock))
        os.rename(half, target)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise


def _uv(*words: str) -> None:
    uv = shutil.which(
        "uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    if uv is None:
        raise LocalError("uv is not installed beside this Python; run `make setup`")
    done = subprocess.run([uv, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"uv {words[0]} failed:\n{done.stderr.strip()[-2000:]}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock while an environment is made, so that other processes wait and reuse it."""
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
