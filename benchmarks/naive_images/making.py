"""The making of naive images: their Dockerfiles' files on the base that ours have, by the code that writes ours.

An engine is not needed, and so the layers are compressed alike. The base and the packages are whole; as after pip's
own installation, packages have bytecode.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from contracts.tasks import Tier
from images.base import base_of
from images.bytecode import bytecode
from images.debian.apt import unpack
from images.debian.packages import archives_of, read_debian_lock
from images.errors import ImageError
from images.image import DOCKERFILE, LOCK, Bytecode, Contents, Runtime, dependency_layer
from images.interpreter import interpreter_of
from images.kept_layers import kept_layer
from images.layer import Entry, Layer, write_layer
from images.oci.layout import Settings
from images.root import root_of
from images.wheel_files.downloads import PLATFORMS

CODE = "app.py"
# torch's CPU build is on the index of this machine for that version alone.
PYTHON_LOCK, OTHER_PYTHON = "python.json", "3.11"


def naive_contents(folder: Path, model: Mapping[str, Path]) -> Contents:
    """Return the contents of the image in a folder with a model's files, by their names in its folder `model`."""
    files: dict[str, Path | bytes] = {name: folder / name for name in (DOCKERFILE, CODE)}
    # It pins what the handler imports, and is no lock of this project.
    files[LOCK] = folder / "requirements.in"
    files |= {f"model/{name}": path for name, path in model.items()}
    return Contents(name=f"naive-{folder.name}", files=files, tier=Tier.CPU)


def naive_runtime(contents: Contents, base: str, work: Path) -> Runtime:
    """Return the runtime of a naive image: a whole base, and what pip installs by its requirements.

    Where a lock of Debian's packages lies beside these, they are a layer on the base, for another version of Python.
    """
    found = base_of(base, work)
    settings = Settings(environment=found.env, entrypoint=found.entrypoint)
    lock = contents.lock.with_name(PYTHON_LOCK)
    layers, python = found.layers, found.python
    if lock.is_file():
        layers, python = (*layers, _python_layer(lock, work)), OTHER_PYTHON
    to_bytecode = partial(bytecode, interpreter=interpreter_of(root_of(layers, work), python))
    folder = contents.settings(settings).working_dir
    packages = _installed(contents.lock, work / "naive", python)

    def write() -> Layer:
        entries = list(_entries(packages, folder.strip("/")))
        compiled = partial(_what_compiles, to_bytecode=to_bytecode)
        return dependency_layer(contents, folder, entries, compiled, work / "blobs")

    return Runtime(
        base=layers,
        settings=settings,
        dependencies=kept_layer(packages.name.encode(), work / "naive", work / "blobs", write),
        bytecode=to_bytecode,
    )


def _python_layer(lock: Path, work: Path) -> Layer:
    """Return a layer of Debian's packages of a lock, with the bytecode of the Python files in it."""

    def write() -> Layer:
        archives = archives_of(read_debian_lock(lock), work / "debs")
        with tempfile.TemporaryDirectory(prefix=".python-", dir=work) as folder:
            unpack(archives, Path(folder))
            entries = [one for one in _entries(Path(folder), "") if one.path.startswith("usr/")]
            compiled = bytecode(entries, interpreter_of(Path(folder), OTHER_PYTHON))
            return write_layer([*entries, *compiled], work / "blobs")

    return kept_layer(lock.read_bytes(), work / "naive", work / "blobs", write)


def _installed(requirements: Path, work: Path, python: str) -> Path:
    """Return a folder with the packages that pip chooses for the requirements, for Linux x86-64."""
    text = f"{python} {requirements.read_text('utf-8')}"
    folder = work / hashlib.sha256(text.encode()).hexdigest()[:16]
    if not folder.is_dir():
        unfinished = folder.with_suffix(".half")
        shutil.rmtree(unfinished, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check"]
        command += ["install", "--quiet", "--no-compile", "--only-binary", ":all:"]
        command += ["--python-version", python, "--implementation", "cp"]
        for platform in PLATFORMS:
            command += ["--platform", platform]
        command += ["--target", str(unfinished), "--requirement", str(requirements)]
        subprocess.run(command, check=True)
        unfinished.rename(folder)
    return folder


def _what_compiles(entries: Iterable[Entry], to_bytecode: Bytecode) -> list[Entry]:
    """Return the bytecode of files, without those that are for another version of Python, as pip does."""
    sources = list(entries)
    try:
        return to_bytecode(sources)
    except ImageError as error:
        broken = {problem.where.lstrip("/") for problem in error.problems}
        return to_bytecode([source for source in sources if source.path not in broken])


def _entries(packages: Path, into: str) -> Iterator[Entry]:
    for path in packages.rglob("*"):
        if path.is_file():
            name = f"{into}/{path.relative_to(packages).as_posix()}".lstrip("/")
            yield Entry(path=name, source=path, executable=os.access(path, os.X_OK))
