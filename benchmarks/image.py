"""Our image of one model beside those that people write: size, cold start, memory, what a change of code pushes.

`python -m benchmarks.image` makes three images of the example's sentence embedding on the base that is made of Debian's
packages: ours, one with the same quantized graph in ONNX Runtime, one with the original model in transformers; the two
are in `benchmarks/naive_images/`. As many starts of each as `--rounds` says count, in turn. It takes root, and control
groups of version 1.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.limited.starts import Subject, subject, take_turns
from benchmarks.naive_images.making import CODE, naive_contents, naive_runtime
from benchmarks.record import ROOT, Row, publish
from contracts.manifest import MODEL, TOKENIZER, kernels_of
from contracts.models_toml import read_models_toml
from contracts.names import model_stack
from contracts.specs import Deployment
from contracts.tasks import Tier
from images.image import Built, Contents, Runtime, build_image
from images.oci.reading import read_layout
from images.registry.push import Destination, Push, read_images
from images.running.rie import emulator
from images.runtime import runtime_on
from images.staging import model_contents
from tests.images.registry.uploads import upload_registry
from turnout.image import slimming

BASE, NAME = "debian", "sentence-embedding"
WORK = ROOT / ".turnout/images"
NAIVE = ROOT / "benchmarks/naive_images"
OURS, ONNX_RUNTIME, TRANSFORMERS = "ours", "ONNX Runtime, by hand", "transformers, torch"
# What transformers reads of a model's folder.
ORIGINAL = (
    "config.json model.safetensors special_tokens_map.json tokenizer.json tokenizer_config.json vocab.txt"
).split()
FIRST = "Where is my parcel?"
# Answers to these are compared; the last is longer than the model reads.
TEXTS = (
    "The invoice shows another amount than the order.",
    "Ein Satz in einer anderen Sprache als die übrigen.",
    "It rained " + "and rained " * 200 + "until the river rose.",
)
# A line more in one file.
CHANGE = b"\n# Changed.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """An image to make: its files and its runtime, and the file of its code that is changed."""

    name: str
    contents: Contents
    runtime: Callable[[Path], Runtime]
    code: str


def contenders(deployment: Deployment, out: Path, source: Path) -> list[Contender]:
    """Return the images to make of one artefact, and of the model that it was built from."""
    artefact = out / NAME / Tier.CPU
    ours = model_contents(model_stack(deployment.name, NAME, Tier.CPU), Tier.CPU, artefact)
    library = kernels_of("x86_64")
    names = [MODEL, TOKENIZER, *([library] if (artefact / library).exists() else [])]
    quantized = naive_contents(NAIVE / "onnx_runtime", {name: artefact / name for name in names})
    original = naive_contents(NAIVE / "transformers", {name: source / name for name in ORIGINAL})
    return [
        Contender(
            name=OURS,
            contents=ours,
            runtime=partial(our_runtime, ours),
            code="functions/__init__.py",
        ),
        *(
            Contender(name=name, contents=contents, runtime=partial(naive_one, contents), code=CODE)
            for name, contents in ((ONNX_RUNTIME, quantized), (TRANSFORMERS, original))
        ),
    ]


def our_runtime(contents: Contents, blobs: Path) -> Runtime:
    """Return the runtime of our image, slimmed and proven as `turnout image` does."""
    on_base = partial(runtime_on, contents, BASE, WORK, blobs)
    return slimming.proven(contents, on_base(), on_base, blobs).runtime


def naive_one(contents: Contents, _: Path) -> Runtime:
    """Return the runtime of a naive image, whose layers are kept."""
    return naive_runtime(contents, BASE, WORK)


def changed(contents: Contents, path: str) -> Contents:
    """Return contents with a line more in one of their files."""
    source = contents.files[path]
    code = source if isinstance(source, bytes) else source.read_bytes()
    return replace(contents, files={**contents.files, path: code + CHANGE})


def pushed_bytes(folders: Sequence[Path]) -> int:
    """Return the bytes that a registry which has the first image is sent for the second, of the same name."""
    first, second = read_images(folders)
    with upload_registry() as registry:
        push = partial(Push, Destination(host=registry.host), None, lambda name, moved: None)
        push().run([first])
        [moved] = push().run([replace(second, name=first.name)])
    return moved.sent


def vectors(answer: bytes) -> list[list[float]]:
    return [output["embedding"] for output in json.loads(answer)["outputs"]]


def least_cosine(one: bytes, other: bytes) -> float:
    """Return the lowest cosine of two answers to the same texts; all vectors have the length 1."""
    pairs = zip(vectors(one), vectors(other), strict=True)
    return min(math.fsum(a * b for a, b in zip(*pair, strict=True)) for pair in pairs)


def row(made: Built, of: Subject) -> Row:
    inits = sorted(start.init_ms / 1e3 for start in of.starts)
    return {
        "image": of.name,
        "MB compressed": round(made.size / 1e6, 1),
        "MB unpacked": round(sum(made.unpacked) / 1e6, 1),
        "INIT, s": f"{of.median('init_ms') / 1e3:.2f} ({inits[0]:.2f} to {inits[-1]:.2f})",
        "first answer, s": f"{of.median('answer_ms') / 1e3:.2f}",
        "peak MB": round(of.median("peak_mb")),
    }


def layers_of(made: Built) -> dict[str, float]:
    """Return the compressed MB of each layer; those of one part are added up."""
    found: dict[str, float] = {}
    for name, layer in made.layers:
        found[name] = round(found.get(name, 0.0) + layer.size / 1e6, 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.image", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=ROOT / "models.out")
    parser.add_argument("--source", type=Path, default=ROOT / "examples/sentence-embedding/model")
    given = parser.parse_args()
    deployment = read_models_toml(ROOT / "models.toml")
    event, compared = (json.dumps({"inputs": texts}).encode() for texts in ([FIRST], TEXTS))
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="compared-", dir=WORK) as name:
        folder = Path(name)
        made: list[Built] = []
        subjects: list[Subject] = []
        sent: list[int] = []
        for one in contenders(deployment, given.out, given.source):
            runtime = one.runtime(folder / "blobs")
            place = folder / "images" / one.contents.name
            after = place.with_name(f"{place.name}-changed")
            made.append(build_image(one.contents, runtime, place, folder / "blobs"))
            build_image(changed(one.contents, one.code), runtime, after, folder / "blobs")
            sent.append(pushed_bytes((place, after)))
            subjects.append(subject(one.name, read_layout(place), emulator(WORK), folder / "roots"))
            print(f"{one.name}: made, {sent[-1]} bytes pushed after a change of code", flush=True)
        blocks = [one.blocks(event) for one in subjects]
        # These starts read the files, and do not count.
        answers = [one.start(compared).answer for one in subjects]
        take_turns(subjects, event, given.rounds)
        rows = [
            {
                **row(built, of),
                "blocks read": f"{read.read} of {read.of} ({read.share:.0%})",
                "MB pushed after a change of code": f"{size / 1e6:.3f}",
                "cosine to ours": f"{least_cosine(answer, answers[0]):.4f}",
            }
            for built, of, size, read, answer in zip(
                made, subjects, sent, blocks, answers, strict=True
            )
        ]
    layers: dict[str, Any] = {
        of.name: layers_of(built) for built, of in zip(made, subjects, strict=True)
    }
    publish("image", rows, rounds=given.rounds, layers=layers)


if __name__ == "__main__":
    main()
