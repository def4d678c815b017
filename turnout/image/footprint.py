"""The size of a tier's image and its time to start, against Lambda's limits, before anything is deployed."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from contracts.limits import LAMBDA_IMAGE_BYTES, LAMBDA_INIT_S
from contracts.manifest import BrokenArtefact, Manifest, read_manifest
from contracts.problems import Code, Problem
from contracts.specs import CpuSpec, GpuSpec
from images.made.inputs import WEIGHTS_PART, inputs_of
from images.made.record import ImagesRecord, Made
from images.staging import model_contents


class Known(StrEnum):
    """The source of an image's size."""

    MADE = "made"
    # The layers that models share are those of an image that was made; the artefact is not yet compressed.
    ESTIMATED = "estimated"
    ARTEFACT = "artefact alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """The bytes of an image, and the median milliseconds of its measured starts at the memory of its tier, if any.

    Of an image that is not made, `compressed` is what it has at most, as far as its layers are known.
    """

    known: Known
    compressed: int
    unpacked: int
    init_ms: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "known": self.known,
            "compressed": self.compressed,
            "unpacked": self.unpacked,
            "init_ms": self.init_ms,
        }


def footprint(
    stack: str, spec: CpuSpec | GpuSpec, artefact: Path, record: ImagesRecord
) -> Footprint | None:
    """Return the footprint of a tier's image; None while there is no artefact to put into it."""
    try:
        manifest = read_manifest(artefact)
    except BrokenArtefact:
        return None
    made = record.made.get(stack)
    weights = inputs_of(model_contents(stack, manifest.tier, artefact))[WEIGHTS_PART]
    if made and made.inputs.get(WEIGHTS_PART) == weights:
        return Footprint(
            known=Known.MADE,
            compressed=made.size,
            unpacked=made.unpacked,
            init_ms=_init_ms(record, made, spec),
        )
    return _estimated(manifest, record.made)


def _init_ms(record: ImagesRecord, made: Made, spec: CpuSpec | GpuSpec) -> float | None:
    """Return the median start of that very image at the memory of its tier."""
    starts = [
        start.ms
        for start in record.starts
        if (start.digest, start.memory_mb) == (made.digest, spec.memory_mb)
    ]
    return statistics.median(starts) if starts else None


def _estimated(manifest: Manifest, made: Mapping[str, Made]) -> Footprint:
    """Return the artefact's size with that of the layers which another image of its tier has besides its weights."""
    # The names of stacks end in their tier.
    others = [row for name, row in made.items() if name.endswith(f"-{manifest.tier}")]
    shared = [layer for layer in others[-1].layers if layer.layer != WEIGHTS_PART] if others else []
    return Footprint(
        known=Known.ESTIMATED if shared else Known.ARTEFACT,
        compressed=manifest.size + sum(layer.size for layer in shared),
        unpacked=manifest.size + sum(layer.unpacked for layer in shared),
    )


def lambda_problems(stack: str, spec: CpuSpec, found: Footprint) -> list[Problem]:
    """Return the reasons why Lambda would not run a function of such an image."""
    problems = []
    if found.unpacked > LAMBDA_IMAGE_BYTES:
        message = (
            f"its image has {gb(found.unpacked)} uncompressed ({found.known}), and Lambda takes "
            f"{gb(LAMBDA_IMAGE_BYTES)}; build a smaller candidate, or serve the model on a GPU tier alone"
        )
        problems.append(Problem(code=Code.IMAGE_TOO_LARGE, where=stack, message=message))
    # A start that INIT cuts off is repeated at the first invocation, under the function's own timeout.
    # https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
    longest = max(LAMBDA_INIT_S, spec.timeout_s)
    if found.init_ms is not None and found.init_ms > longest * 1e3:
        message = (
            f"it starts in {found.init_ms / 1e3:.1f} s at {spec.memory_mb} MB, and Lambda gives it {longest} s; raise "
            "memory_mb, which has more CPU, or timeout_s"
        )
        problems.append(Problem(code=Code.INIT_TOO_LONG, where=stack, message=message))
    return problems


def shown_sizes(found: Footprint | None) -> tuple[str, str]:
    """Return the compressed and the unpacked size in few words; what is not known exactly is marked."""
    if found is None:
        return "not built", "not built"
    compressed, unpacked = (f"{size / 1e6:.1f} MB" for size in (found.compressed, found.unpacked))
    match found.known:
        case Known.MADE:
            return compressed, unpacked
        case Known.ESTIMATED:
            return f"at most {compressed}", f"about {unpacked}"
        case Known.ARTEFACT:
            return "not made", f"more than {unpacked}"


def shown_init(found: Footprint | None) -> str:
    """Return the measured start, marked where INIT is cut off and the first request waits for it again."""
    if found is None or found.init_ms is None:
        return "not measured"
    late = f", over {LAMBDA_INIT_S} s" if found.init_ms > LAMBDA_INIT_S * 1e3 else ""
    return f"{found.init_ms / 1e3:.2f} s{late}"


def gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
