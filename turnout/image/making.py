"""Every image of a deployment, written as an OCI layout."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contracts.errors import TurnoutError
from contracts.problems import Code, Problem
from contracts.specs import Deployment
from contracts.tasks import Tier
from images.blob import write_atomically
from images.bom.contents import ENDING
from images.errors import ImageError
from images.folders.half_made import half_made
from images.folders.held import held
from images.image import Built, Contents, Runtime, build_image
from images.made.inputs import base_digest, inputs_of
from images.made.record import record_made, row_of
from images.oci.reading import Layout
from images.running.probe import Probed, ask, event_of
from images.running.rie import emulator
from images.runtime import runtime_on
from images.slimming.pieces import Slimming
from images.staging import without_cuda
from stacks.contents import contents_of
from stacks.routes.table import make_routes, read_artefacts
from turnout.image import slimming

# Downloaded wheels and bases, unpacked ones, and blobs of bases.
WORK = Path(".turnout/images")
FUNCTION_BASE = "aws-lambda"
BASES: Mapping[Tier | None, str] = {Tier.GPU: "python-slim"}
MACHINE = ("Linux", "x86_64")
Ask = Callable[[Contents, Path], Callable[[Layout], Probed]]


class EngineNeeded(TurnoutError):
    """This machine cannot make images by itself."""

    code = "engine_needed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The images to make: of a deployment's artefacts in a folder, all or those named, on their own bases or on one.

    Images that are not `slim` have every file of their packages and base. Without `cuda` they are those of GPU tiers,
    to be run on processors.
    """

    deployment: Deployment
    out: Path
    key_hashes: Mapping[str, str]
    names: Sequence[str] = ()
    base: str = ""
    slim: bool = True
    cuda: bool = True


def probe_of(contents: Contents, work: Path) -> Callable[[Layout], Probed]:
    """Return how the function of an image is asked its probe."""
    return partial(
        ask,
        event=event_of(contents.tier),
        emulator=partial(emulator, work),
        name=contents.name,
        work=work,
    )


def check_machine(system: str = "", machine: str = "") -> None:
    """Raise EngineNeeded unless this is Linux on x86-64, whose packages and interpreter the images take."""
    found = (system or platform.system(), machine or platform.machine())
    if found != MACHINE:
        raise EngineNeeded(
            f"images are made without an engine on {' '.join(MACHINE)} alone, and this is {' '.join(found)}: "
            "install Docker, Finch or Podman, name it by CDK_DOCKER, and `cdk deploy` has it build them"
        )


def image(
    wanted: Wanted,
    target: Path,
    work: Path,
    log: Console,
    runtime: slimming.RuntimeOn = runtime_on,
    probe: Ask = probe_of,
) -> list[dict[str, Any]]:
    """Write the images into a folder each below `target`; return what each is made of.

    Raise EngineNeeded on another system, ImageError for artefacts, bases, packages and images that cannot be used, and
    for slimmed ones that nothing proves.
    """
    check_machine()
    contents = chosen_contents(wanted)

    def waiting() -> None:
        log.print(f"another command makes images by {work}; this one waits for it", markup=False)

    # Layers are linked into each layout that has them, and are of no other use after this run.
    with held(work, waiting), half_made(work) as folder:
        runtimes: dict[Tier | None, Runtime] = {}
        made = []
        for one in contents:
            start = time.monotonic()
            with log.status(f"{one.name}: base and dependencies") as status:
                base = wanted.base or BASES.get(one.tier, FUNCTION_BASE)
                on_base = partial(runtime, one, base, work, folder)
                if one.tier not in runtimes:
                    runtimes[one.tier] = on_base(Slimming(whole=not wanted.slim))
                # Read before the image: of a file that changes in between, the record has the older one, and is stale.
                inputs = inputs_of(one)
                status.update(
                    f"{one.name}: the same requests in the slimmed image and the whole one"
                )
                slim = slimming.proven(one, runtimes[one.tier], on_base, folder)
                status.update(f"{one.name}: layers")
                built = build_image(one, slim.runtime, target / one.name, folder, probe(one, work))
            # The digest of a base may be in the table only since the base was pulled.
            if wanted.cuda:
                record_made(target, one.name, row_of(built, inputs, base, base_digest(base)))
            write_bill(built, slim.runtime, base, bill_path(built))
            log.print(line_of(built, time.monotonic() - start), markup=False, soft_wrap=True)
            for name in slim.restored:
                log.print(
                    f"{one.name}: {name} went back, as the image answers otherwise without it",
                    markup=False,
                )
            made.append({**described(built), **slimming.described(slim)})
    return made


def bill_path(built: Built) -> Path:
    """Return the place of an image's bill of materials: beside its layout."""
    return built.folder.with_name(f"{built.name}{ENDING}")


def write_bill(built: Built, runtime: Runtime, base: str, path: Path) -> None:
    # Importing the library takes as long as most commands.
    from images.bom.document import bill

    text = bill(built.name, built.digest, built.materials, runtime.wheels, runtime.archives, base)
    write_atomically(path, text)


def line_of(built: Built, seconds: float) -> str:
    size = f"{built.size / 1e6:.1f} MB compressed in {len(built.layers)} layers"
    probe = f", probe {built.probe.outcome}" if built.probe.outcome else ""
    blocks = built.probe.blocks
    read = f" from {blocks.read} of {blocks.of} blocks ({blocks.share:.0%})" if blocks else ""
    return f"{built.name}: {size}, {seconds:.1f} s{probe}{read}"


def chosen_contents(wanted: Wanted) -> list[Contents]:
    """Return the contents of the images to make; raise ImageError for artefacts and names that cannot be used."""
    contents = contents_wanted(wanted)
    if wanted.cuda:
        return chosen(contents, wanted.names)
    of_gpus = [one for one in contents if one.tier is Tier.GPU]
    if not of_gpus:
        message = "has no GPU tier; give a model one in models.toml, or leave out --without-cuda"
        problem = Problem(code=Code.MODEL_UNKNOWN, where=wanted.deployment.name, message=message)
        raise ImageError("the images cannot be made", [problem])
    return [without_cuda(one) for one in chosen(of_gpus, wanted.names)]


def contents_wanted(wanted: Wanted) -> list[Contents]:
    """Return the contents of every image of a deployment; raise ImageError for artefacts that cannot be used."""
    deployment = wanted.deployment
    artefacts, problems = read_artefacts(deployment, wanted.out)
    if problems:
        raise ImageError("the images cannot be made", problems)
    routes = make_routes(deployment, artefacts, wanted.key_hashes, wanted.out)
    return contents_of(deployment, wanted.out, routes)


def chosen(contents: list[Contents], names: Sequence[str]) -> list[Contents]:
    """Return the contents of the images that are named, or of all; raise ImageError for names that there are not."""
    known = [one.name for one in contents]
    message = f"is no image of this deployment; there are {', '.join(known)}"
    if problems := [
        Problem(code=Code.MODEL_UNKNOWN, where=name, message=message)
        for name in names
        if name not in known
    ]:
        raise ImageError("the images cannot be made", problems)
    return [one for one in contents if not names or one.name in names]


def described(built: Built) -> dict[str, Any]:
    """Return an image as a document."""
    layers = [
        {
            "layer": name,
            "digest": layer.digest,
            "diff_id": layer.diff_id,
            "size": layer.size,
            "unpacked": unpacked,
        }
        for (name, layer), unpacked in zip(built.layers, built.unpacked, strict=True)
    ]
    return {
        "image": built.name,
        "folder": str(built.folder),
        "bill": str(bill_path(built)),
        "digest": built.digest,
        "size": built.size,
        "unpacked": sum(built.unpacked),
        "probe": built.probe.outcome,
        "blocks": asdict(built.probe.blocks) if built.probe.blocks else None,
        "layers": layers,
    }


def show(made: list[dict[str, Any]], console: Console, *, verbose: bool = False) -> None:
    """Print a line for each image; if `verbose`, also what went of each and its weight."""
    table = Table(box=None, pad_edge=False)
    for name in ("image", "digest"):
        table.add_column(name, no_wrap=True)
    table.add_column("MB", justify="right")
    table.add_column("layers, lowest first, in MB")
    for one in made:
        layers = ", ".join(f"{layer['layer']} {layer['size'] / 1e6:.2f}" for layer in one["layers"])
        table.add_row(one["image"], one["digest"][:19], f"{one['size'] / 1e6:.1f}", layers)
    console.print(table)
    for one in made if verbose else ():
        show_removed(one, console)


def show_removed(one: Mapping[str, Any], console: Console) -> None:
    """Print the pieces that went of an image, the heaviest first."""
    removed = one["removed"]
    total = sum(piece["bytes"] for piece in removed)
    console.print(
        f"\n{one['image']}: {len(removed)} pieces went, {total / 1e6:.1f} MB uncompressed"
    )
    table = Table(box=None, pad_edge=False)
    for name in ("bytes", "files"):
        table.add_column(name, justify="right")
    table.add_column("piece", overflow="fold")
    for piece in removed:
        table.add_row(str(piece["bytes"]), str(piece["files"]), escape(piece["piece"]))
    console.print(table)
