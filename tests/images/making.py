"""Images of real staged files on a small base, with this process's interpreter in place of the base's."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from contracts.tasks import Tier
from images.bytecode import bytecode
from images.image import Built, Contents, Files, Runtime, build_image, dependency_layer
from images.interpreter import Interpreter
from images.layer import Entry, write_layer
from images.oci.layout import Settings
from images.oci.reading import Layout
from images.running.blocks import Blocks
from images.running.probe import Probed
from images.staging import model_contents, router_contents
from tests.images.layouts import BASE

TO_BYTECODE = partial(bytecode, interpreter=Interpreter(command=(sys.executable,)))
PACKAGES = (
    Entry(path="var/task/package/__init__.py", source=b"VALUE = 1\n"),
    Entry(path="var/task/package/fast.so", source=b"\x7fELF", executable=True),
)
OF_BASE = Settings(
    environment={"LANG": "C.UTF-8"},
    working_dir="/",
    entrypoint=("/usr/bin/python3", "-m", "awslambdaric"),
)
ROUTES = '{"models": {}}'


def cpu(artefact: Path) -> Contents:
    return model_contents("shop-intents-cpu", Tier.CPU, artefact)


def router() -> Contents:
    return router_contents("shop-router", ROUTES)


def changed_code(contents: Contents) -> Contents:
    """Return the contents with one line more in one file."""
    path = "functions/__init__.py"
    source = contents.files[path]
    assert isinstance(source, Path)
    files: Files = {**contents.files, path: source.read_bytes() + b"CHANGED = True\n"}
    return Contents(name=contents.name, files=files, tier=contents.tier)


def small_runtime(
    contents: Contents, blobs: Path, name: str = "", base: tuple[Entry, ...] = BASE
) -> Runtime:
    """Return a runtime of a few files, on a base that a name makes another one."""
    named = Entry(path="etc/base", source=name.encode())
    packages = () if contents.tier is Tier.GPU else PACKAGES
    folder = contents.settings(OF_BASE).working_dir
    return Runtime(
        base=[write_layer((*base, named), blobs)],
        settings=OF_BASE,
        dependencies=dependency_layer(contents, folder, packages, TO_BYTECODE, blobs),
        bytecode=TO_BYTECODE,
    )


def make(contents: Contents, folder: Path, base: tuple[Entry, ...] = BASE) -> Built:
    """Write an image into the folder `image` of a folder."""
    blobs = folder / "blobs"
    runtime = small_runtime(contents, blobs, base=base)
    return build_image(contents, runtime, folder / "image", blobs)


def unasked(contents: Contents, work: Path) -> Callable[[Layout], Probed]:
    """Return what asks no function: that of a small base cannot be started."""
    read = Blocks(read=3, of=4)
    return lambda layout: (
        Probed(outcome="answered", blocks=read)
        if contents.tier
        else Probed(outcome="not started: no namespaces")
    )
