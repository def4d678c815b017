"""An image in layers in order of change: base, dependencies, weights or page, code.

What changes less often lies lower, so that a registry has it already: a change of code is one small layer, and the
models of a deployment share all below their weights.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contracts.manifest import MANIFEST
from contracts.tasks import Tier
from images.bom.contents import Materials, described, materials_of
from images.dockerfile import settings_of
from images.errors import ImageError
from images.layer import Entry, Layer, write_layer
from images.oci.layout import Settings, write_layout
from images.oci.lint import lint
from images.oci.reading import Layout, read_layout
from images.running.probe import Probed
from images.slimming.pieces import Pieces

Files = Mapping[str, Path | bytes]
Bytecode = Callable[[Iterable[Entry]], list[Entry]]

DEPENDENCIES, CODE = "dependencies", "code"
# The first prefix that a staged file has names its layer; all others are code.
LAYERS = (
    ("requirements", DEPENDENCIES),
    ("unused.txt", DEPENDENCIES),
    ("model/", "weights"),
    ("docs/", "page"),
    ("", CODE),
)
# The layers of an image's own, in order of change.
OWN = ("weights", "page", CODE)
# Read by Docker, and no part of an image.
DOCKERFILE = "Dockerfile"
# The packages to install, with the digests of their wheels.
LOCK = "requirements.txt"
# Those of a GPU container where there is no GPU: in the local cloud, and in a container on a laptop.
LOCK_WITHOUT_CUDA = "requirements-cpu.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The staged files of an image by their paths in its working directory, and the tier that it is for, if any."""

    name: str
    files: Files
    tier: Tier | None = None

    @property
    def lock(self) -> Path:
        """Return the lock as it lies in the repository, and not a copy: what is left out of it is named beside it."""
        source = self.files[LOCK]
        if isinstance(source, bytes):
            raise TypeError(f"the lock of {self.name} is no file")
        return source

    @property
    def dockerfile(self) -> str:
        source = self.files[DOCKERFILE]
        return (source if isinstance(source, bytes) else source.read_bytes()).decode()

    @property
    def artefact(self) -> Path:
        """Return the folder of the artefact that a model's image has."""
        source = self.files[f"model/{MANIFEST}"]
        if isinstance(source, bytes):
            raise TypeError(f"the manifest of {self.name} is no file")
        return source.parent

    def settings(self, base: Settings) -> Settings:
        return settings_of(self.dockerfile, base)

    def entries(self, layer: str, working_dir: str) -> list[Entry]:
        """Return the entries of one of the layers."""
        return [
            Entry(path=f"{working_dir.strip('/')}/{path}", source=source)
            for path, source in self.files.items()
            if path != DOCKERFILE and layer_of(path) == layer
        ]


def layer_of(path: str) -> str:
    """Return the layer of a staged file."""
    return next(layer for prefix, layer in LAYERS if path.startswith(prefix))


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The part of an image that no model changes: base, dependencies, and what makes bytecode for its Python.

    `wheels` and `archives` are the SHA-256 of the files that packages of Python and of Debian came in, by their names.
    `pieces` are what it does without, by their names.
    """

    base: Sequence[Layer]
    settings: Settings
    dependencies: Layer
    bytecode: Bytecode
    wheels: Mapping[str, str] = field(default_factory=dict)
    archives: Mapping[str, str] = field(default_factory=dict)
    pieces: Pieces = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image that was written: its layout, the digest of its manifest, and its layers, lowest first.

    `unpacked` has the bytes of each layer's archive, `materials` what it is made of.
    """

    name: str
    folder: Path
    digest: str
    layers: tuple[tuple[str, Layer], ...]
    unpacked: tuple[int, ...]
    materials: Materials
    probe: Probed

    @property
    def size(self) -> int:
        """Return the compressed bytes of all layers."""
        return sum(layer.size for _, layer in self.layers)


def dependency_layer(
    contents: Contents, working_dir: str, packages: Sequence[Entry], bytecode: Bytecode, blobs: Path
) -> Layer:
    """Write the layer of the packages, their bytecode and the lock that they were installed from."""
    locks = contents.entries(DEPENDENCIES, working_dir)
    return write_layer([*packages, *bytecode(packages), *locks], blobs)


def _not_asked(_: Layout) -> Probed:
    return Probed()


def build_image(
    contents: Contents,
    runtime: Runtime,
    folder: Path,
    blobs: Path,
    probe: Callable[[Layout], Probed] = _not_asked,
) -> Built:
    """Write an image as a layout in place of the folder, its own layers into a folder of blobs before that.

    What was written is read again, every digest checked, and its function asked its probe, before it takes its place.
    Raise ImageError for files that cannot be in an image, for a function's image that Lambda would refuse, and what
    the probe raises.
    """
    settings = contents.settings(runtime.settings)
    layers = [
        *(("base", layer) for layer in runtime.base),
        (DEPENDENCIES, runtime.dependencies),
    ]
    for name in OWN:
        if entries := contents.entries(name, settings.working_dir):
            layers.append((name, write_layer([*entries, *runtime.bytecode(entries)], blobs)))

    unpacked: list[int] = []
    probed = Probed()
    materials: list[Materials] = []

    def check(layout: Path) -> None:
        nonlocal probed
        found = read_layout(layout, described)
        unpacked.extend(layer.size for layer in found.layers)
        materials.append(materials_of(found))
        # A GPU's image is run by SageMaker, which has other rules.
        if contents.tier is Tier.GPU:
            return
        if problems := lint(found):
            raise ImageError(f"{contents.name}: Lambda would refuse the image", problems)
        probed = probe(found)

    digest = write_layout(folder, contents.name, layers, settings, check)
    return Built(
        name=contents.name,
        folder=folder,
        digest=digest,
        layers=tuple(layers),
        unpacked=tuple(unpacked),
        probe=probed,
        materials=materials[0],
    )
