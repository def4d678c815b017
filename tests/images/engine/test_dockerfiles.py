"""Podman builds the Dockerfiles: the images have the files of those that `turnout image` makes."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.console import Console

from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task, Tier
from images.base import Base
from images.engine.engine import Engine
from images.image import Contents, Runtime
from images.oci.reading import read_layout
from images.runtime import runtime_of
from images.slimming.patterns import matches
from images.slimming.pieces import Slimming, source_of
from tests.fixtures.models.tiny import Tiny, artefact
from tests.images.conftest import alone
from tests.images.engine.containers import check_answers
from tests.images.engine.dockerfiles import (
    Builder,
    Node,
    builder,
    nodes_of_archive,
    nodes_of_layout,
)
from tests.images.making import unasked
from turnout.image.making import Wanted, chosen_contents, image

pytestmark = pytest.mark.build

NOWHERE = Path("nowhere")
INTENTS = ModelSpec(
    name="intents",
    source=NOWHERE,
    task=Task.TEXT_CLASSIFICATION,
    eval=NOWHERE,
    cpu=CpuSpec(),
    gpu=GpuSpec(instance="ml.g6.xlarge"),
)
SHOP = Deployment(name="shop", models=(INTENTS,))
ROUTER, CPU, GPU = "shop-router", "shop-intents-cpu", "shop-intents-gpu"
EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A deployment with a tiny model on both tiers, whose images are made on one base; GPU containers without CUDA."""

    folder: Path
    base: Base
    work: Path

    def contents(self, name: str) -> Contents:
        [contents] = chosen_contents(self._wanted(name))
        return contents

    def make(self, name: str) -> Path:
        """Make an image as `turnout image` does, but for its proof and its probe; return its layout."""

        def runtime(
            contents: Contents, name: str, work: Path, blobs: Path, slimming: Slimming
        ) -> Runtime:
            with alone(self.work):
                slimmed = runtime_of(contents, self.base, self.work, blobs)
            return replace(slimmed, pieces={})

        log = Console(file=io.StringIO())
        images, work = self.folder / "images.out", self.folder / "work"
        [made] = image(self._wanted(name), images, work, log, runtime, unasked)
        return Path(made["folder"])

    def _wanted(self, name: str) -> Wanted:
        out = self.folder / "models.out"
        return Wanted(deployment=SHOP, out=out, key_hashes={}, names=[name], cuda=name != GPU)


@pytest.fixture(scope="module")
def shop(base: Base, work: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    for tier in Tier:
        artefact(folder / "models.out/intents" / tier, Tiny(model="intents", tier=tier))
    return Shop(folder=folder, base=base, work=work)


@pytest.fixture(scope="module")
def container(shop: Shop) -> Path:
    """The image of the GPU tier without CUDA."""
    return shop.make(GPU)


@pytest.fixture(scope="module")
def dockerfiles(podman: Engine, shop: Shop) -> Builder:
    with alone(shop.work):
        return builder(podman, shop.base, shop.work, shop.folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A path that an image without an engine and one by Podman have otherwise, and what these are made of."""

    path: str
    made: Node | None
    built: Node | None
    builder: Builder
    unused: tuple[str, ...]


def _note_of_pip(one: Difference) -> bool:
    """Return true for what pip writes about an installation, and for its list of the files, which has these too."""
    if one.made and one.built:
        same = replace(one.made, digest="") == replace(one.built, digest="")
        return same and one.path.endswith(".dist-info/RECORD")
    return not one.made and one.path.endswith((".dist-info/INSTALLER", ".dist-info/REQUESTED"))


def _mount_point(one: Difference) -> bool:
    """Return true for the empty file over which Podman mounts the name of a container's host."""
    return (
        not one.made
        and one.path == "etc/hostname"
        and one.built is not None
        and one.built.digest == EMPTY
    )


def _shell(one: Difference) -> bool:
    """Return true for the shell that the base was given: ours has none, and a Dockerfile cannot do without."""
    return not one.made and one.path in one.builder.left


def _unused_of_base(one: Difference) -> bool:
    """Return true for what `turnout image` leaves out of the base as well, and for folders of nothing else."""
    names = {one.path, source_of(one.path)}
    above = any(pattern.startswith(f"{one.path}/") for pattern in one.unused)
    return not one.made and (any(matches(name, one.unused) for name in names) or above)


RULES: tuple[Callable[[Difference], bool], ...] = (
    _note_of_pip,
    _mount_point,
    _shell,
    _unused_of_base,
)


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("name", [ROUTER, CPU, GPU])
def test_a_dockerfile_gives_the_files_of_an_image_that_needs_no_engine(
    shop: Shop, dockerfiles: Builder, name: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue("container") if name == GPU else shop.make(name)
    made = nodes_of_layout(read_layout(folder))
    built = nodes_of_archive(dockerfiles.build(shop.contents(name)))
    unused = shop.base.unused if name == CPU else ()
    explained: dict[str, list[str]] = {rule.__name__: [] for rule in RULES}
    unexplained = []
    for path in sorted(made.keys() | built.keys()):
        one = Difference(
            path=path,
            made=made.get(path),
            built=built.get(path),
            builder=dockerfiles,
            unused=unused,
        )
        if one.made == one.built:
            continue
        names = [rule.__name__ for rule in RULES if rule(one)]
        explained[names[0]].append(path) if names else unexplained.append(one)
    assert unexplained == []
    assert [rule for rule, paths in explained.items() if not paths] == (
        [] if name == CPU else [_unused_of_base.__name__]
    )
    # The packages, the code and its bytecode are there to be compared.
    ours = "opt/turnout/" if name == GPU else "var/task/"
    files = [path for path in made if path.startswith(ours)]
    assert {Path(path).suffix for path in files} >= {".py", ".pyc", ".so", ".txt", ".json"}
    assert len(files) > 500


def test_a_gpu_container_without_cuda_answers_as_the_source_tree(
    shop: Shop, container: Path, podman: Engine
) -> None:
    check_answers(podman, container, shop.folder / "models.out/intents/gpu")
