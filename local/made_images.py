"""Images that `turnout image` made, in place of pushed ones: the local cloud's registry has no data plane.

Like images that are built here, they are run by this machine's Python with the packages of their lock. What is unpacked
is what the project itself puts into an image; its base and packages may be for another Python.
"""

import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from images.image import DEPENDENCIES, OWN
from images.layer import Layer
from images.oci.layout import Settings
from images.oci.reading import Layout
from images.root import unpack_layers
from images.running.function import layers_of
from local.errors import LocalError
from local.images import Image
from local.python_environments import LOCKS

# Of the base's machine, and not of this one.
OF_BASE = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")


def add(layout: Layout, store: Path, above: Sequence[Layer] = ()) -> str:
    """Put an image that was read into the store, from where a function that names its digest is started; return that.

    Further layers lie above its own. Raise LocalError for an image that `turnout image` has not made.
    """
    digest = str(layout.descriptors[0]["digest"])
    tag = digest.rpartition(":")[2]
    root, settings = store / tag, Settings.read(layout.config["config"])
    shutil.rmtree(root, ignore_errors=True)
    layers = _layers(layout)
    unpack_layers([*(layer for name, layer in layers if name in OWN), *above], root)
    for layer in (layer for name, layer in layers if name == DEPENDENCIES):
        _unpack_locks(layer, root)
    image = Image(
        root=str(root),
        workdir=settings.working_dir,
        entrypoint=settings.entrypoint,
        command=settings.command,
        environment={
            name: value for name, value in settings.environment.items() if name not in OF_BASE
        },
    )
    image.save(store, tag)
    return digest


def _layers(layout: Layout) -> list[tuple[str, Layer]]:
    """Return the layers with the names that `turnout image` gives them."""
    names = [step.get("created_by", "") for step in layout.config.get("history", ())]
    if DEPENDENCIES not in names:
        raise LocalError(
            f"{layout.folder} has no layer of {DEPENDENCIES}; the local cloud runs images that `turnout image` made"
        )
    return list(zip(names, layers_of(layout), strict=True))


def _unpack_locks(layer: Layer, root: Path) -> None:
    with tarfile.open(layer.blob, "r:gz") as archive:
        for member in archive:
            if PurePosixPath(member.name).name in LOCKS and (file := archive.extractfile(member)):
                place = root / member.name
                if not place.resolve().is_relative_to(root.resolve()):
                    raise LocalError(f"{layer.digest}: {member.name} leads out of the image")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(file.read())
