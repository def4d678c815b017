"""The part of an image that does not depend on a model: its base, and the packages that its lock names."""

import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from contracts.tasks import Tier
from images.base import Base, base_of
from images.bytecode import bytecode
from images.image import Contents, Runtime, dependency_layer
from images.interpreter import interpreter_of
from images.kept_layers import kept_layer
from images.layer import Entry, Layer, write_layer
from images.oci.layout import Settings
from images.root import root_of
from images.slimming.pieces import Pieces, Slimming, read_patterns, split
from images.wheel_files.downloads import digests_of
from images.wheels import WHEELS, dependencies

# Beside a lock, if it has one: the patterns of what is removed after the installation. A Dockerfile reads it as well.
UNUSED = "unused.txt"
NOTHING_RESTORED = Slimming()


def runtime_on(
    contents: Contents, base: str, work: Path, blobs: Path, slimming: Slimming = NOTHING_RESTORED
) -> Runtime:
    """Return the runtime of images with these contents on a base by its name, which is in `work` or is downloaded."""
    return runtime_of(contents, base_of(base, work), work, blobs, slimming)


def runtime_of(
    contents: Contents, base: Base, work: Path, blobs: Path, slimming: Slimming = NOTHING_RESTORED
) -> Runtime:
    """Return the runtime of images with these contents, its dependencies as a layer in a folder of blobs.

    Wheels are downloaded into `work` unless they are there. Raise ImageError for one that cannot be had or is not the
    one that was locked, and where no interpreter of the base's version runs.
    """
    settings = Settings(environment=base.env, working_dir=base.workdir, entrypoint=base.entrypoint)
    root = root_of(base.layers, work)
    # That of the whole base, as the slimmed one has no compiler.
    to_bytecode = partial(bytecode, interpreter=interpreter_of(root, base.python))
    working_dir = contents.settings(settings).working_dir
    into = working_dir.strip("/")
    names = slimming.chosen(read_patterns(contents.lock.with_name(UNUSED)), into)
    packages = split(dependencies(contents.lock, work, python=base.python, into=into), names)
    # A GPU's libraries were never traced, and the router's base is used by more than its requests show.
    unused = slimming.chosen(base.unused) if contents.tier is Tier.CPU else ()
    layers, pieces = slimmed_base(base.layers, root, unused, work)
    return Runtime(
        base=layers,
        settings=settings,
        dependencies=dependency_layer(contents, working_dir, packages.kept, to_bytecode, blobs),
        bytecode=to_bytecode,
        wheels=digests_of(contents.lock, work / WHEELS, base.python),
        archives=base.archives,
        pieces={**pieces, **packages.pieces},
    )


def slimmed_base(
    layers: Sequence[Layer], root: Path, names: Sequence[str], work: Path
) -> tuple[Sequence[Layer], Pieces]:
    """Return a base as one layer without some pieces, and the pieces."""
    if not names:
        return layers, {}
    parts = split(_files(root), names)
    sources = "\n".join([*(layer.digest for layer in layers), "", *names]).encode()
    layer = kept_layer(
        sources, work / "layers", work / "blobs", lambda: write_layer(parts.kept, work / "blobs")
    )
    return (layer,), parts.pieces


def _files(root: Path) -> Iterable[Entry]:
    """Yield the entries of a folder; of folders, those that are empty, since others follow from their files."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            inside = path.relative_to(root).as_posix()
            if path.is_symlink():
                yield Entry(path=inside, link=os.readlink(path))
            elif path.is_file():
                yield Entry(path=inside, source=path, executable=os.access(path, os.X_OK))
            elif not any(path.iterdir()):
                yield Entry(path=inside)
