"""The runtime of an image, slimmed as far as the image answers its golden requests and wrong ones as a whole one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from contracts.manifest import read_manifest
from contracts.problems import Code, Problem
from images.errors import ImageError
from images.image import OWN, Contents, Runtime
from images.layer import Entry
from images.root import root_of
from images.slimming.cases import cases
from images.slimming.function import Case
from images.slimming.pieces import Slimming
from images.slimming.proof import Slimmed, pieces_needed, with_entries

RuntimeOn = Callable[[Contents, str, Path, Path, Slimming], Runtime]
Prove = Callable[[Slimmed, Sequence[Case], Path], tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slim:
    """A runtime that was proven with one model, and the pieces that had to go back for it."""

    runtime: Runtime
    restored: tuple[str, ...] = ()


def cases_of(artefact: Path) -> tuple[Case, ...]:
    """Return the cases of an artefact and its golden rows; raise BrokenArtefact if these are missing or not its own."""
    from build.proof.golden import read_golden

    golden = [row.request.to_wire() for row in read_golden(artefact)]
    manifest = read_manifest(artefact)
    return cases(manifest.task, golden, chat=manifest.chat)


def proven(
    contents: Contents,
    runtime: Runtime,
    again: Callable[[Slimming], Runtime],
    work: Path,
    prove: Prove = pieces_needed,
) -> Slim:
    """Return the runtime if an image with it replies as a whole one does, else one with the pieces that it needs.

    `again` makes a runtime with pieces restored, which is proven as the first was. Raise ImageError if that differs.
    """
    if not runtime.pieces:
        return Slim(runtime=runtime)
    of = cases_of(contents.artefact)
    needed = prove(root_of_image(contents, runtime, work), of, work)
    if not needed:
        return Slim(runtime=runtime)
    runtime = again(Slimming(restored=needed))
    if more := prove(root_of_image(contents, runtime, work), of, work):
        message = f"it differs from a whole image although {', '.join(needed)} went back; make it by --no-slim"
        problems = [Problem(code=Code.IMAGE_UNPROVEN, message=message, where=name) for name in more]
        raise ImageError(contents.name, problems)
    return Slim(runtime=runtime, restored=needed)


def root_of_image(contents: Contents, runtime: Runtime, work: Path) -> Slimmed:
    """Return the files of the layers of a runtime, with what an image has above them, in a folder below `work`."""
    settings = contents.settings(runtime.settings)
    # The layers are unpacked once for all models that have them.
    below = root_of([*runtime.base, runtime.dependencies], work)
    own = [entry for layer in OWN for entry in contents.entries(layer, settings.working_dir)]
    root = work / f"{contents.name}-{uuid4().hex}"
    with_entries(below, [*own, *runtime.bytecode(own)], root)
    return Slimmed(root=root, settings=settings, pieces=runtime.pieces)


def described(slim: Slim) -> dict[str, Any]:
    """Return what went of an image and its weight, the heaviest first, and what had to go back."""
    weights = {name: weight(entries) for name, entries in slim.runtime.pieces.items()}
    heaviest = sorted(weights, key=lambda name: (-weights[name]["bytes"], name))
    return {
        "removed": [{"piece": name, **weights[name]} for name in heaviest],
        "restored": list(slim.restored),
    }


def weight(entries: Sequence[Entry]) -> Mapping[str, int]:
    sizes = [
        entry.source.stat().st_size if isinstance(entry.source, Path) else len(entry.source)
        for entry in entries
        if entry.source is not None
    ]
    return {"files": len(sizes), "bytes": sum(sizes)}
