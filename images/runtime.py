"""The part of an image that does not depend on a model: its base, and the packages that its lock names."""

from functools import partial
from pathlib import Path

from images.base import Base, base_of
from images.bytecode import bytecode
from images.image import Contents, Runtime, dependency_layer
from images.interpreter import interpreter_of
from images.oci.layout import Settings
from images.root import root_of
from images.wheel_files.downloads import digests_of
from images.wheels import WHEELS, dependencies


def runtime_on(contents: Contents, base: str, work: Path, blobs: Path) -> Runtime:
    """Return the runtime of images with these contents on a base by its name, which is in `work` or is downloaded."""
    return runtime_of(contents, base_of(base, work), work, blobs)


def runtime_of(contents: Contents, base: Base, work: Path, blobs: Path) -> Runtime:
    """Return the runtime of images with these contents, its dependencies as a layer in a folder of blobs.

    Wheels are downloaded into `work` unless they are there. Raise ImageError for one that cannot be had or is not the
    one that was locked, and where no interpreter of the base's version runs.
    """
    settings = Settings(environment=base.env, working_dir=base.workdir, entrypoint=base.entrypoint)
    interpreter = interpreter_of(root_of(base.layers, work), base.python)
    to_bytecode = partial(bytecode, interpreter=interpreter)
    working_dir = contents.settings(settings).working_dir
    into = working_dir.strip("/")
    packages = dependencies(contents.lock, work, python=base.python, into=into)
    return Runtime(
        base=base.layers,
        settings=settings,
        dependencies=dependency_layer(contents, working_dir, packages, to_bytecode, blobs),
        bytecode=to_bytecode,
        wheels=digests_of(contents.lock, work / WHEELS, base.python),
        archives=base.archives,
    )
