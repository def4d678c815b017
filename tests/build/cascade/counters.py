"""A model of two tiers that count on from a number, of which the small one is unsure of every fifth, and its rows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from contracts.manifest import MANIFEST, PUSHED, Manifest, read_manifest
from contracts.specs import CpuSpec, GpuSpec, ModelSpec
from contracts.tasks import Task, Tier
from tests.build.cascade.moods import write
from tests.fixtures.models.writers.counting import writer

COUNT = 700
NUMBERS = [f"{' ' if number else ''}n{number}" for number in range(COUNT)]
UNSURE_OF = range(0, COUNT, 5)


def counters(out: Path) -> Path:
    """Seal an artefact of each tier of the model "counter" in a folder."""
    writer(out / "counter/cpu", NUMBERS, unsure=UNSURE_OF, model="counter")
    writer(out / "counter/gpu", NUMBERS, Tier.GPU, model="counter")
    return out


def with_pushed(out: Path) -> Manifest:
    """Seal the CPU tier, and a GPU tier whose weights lie in S3; return the manifest of that."""
    whole = writer(out / "counter/cpu", NUMBERS, unsure=UNSURE_OF, model="counter")
    folder = out / "counter/gpu"
    folder.mkdir()
    changes: dict[str, Any] = {"tier": Tier.GPU, "details": {PUSHED: "d" * 64}, "files": ()}
    manifest = replace(read_manifest(whole), **changes).sealed()
    (folder / MANIFEST).write_text(manifest.to_json(), "utf-8")
    return manifest


def rows(new_tokens: int = 1) -> list[dict[str, Any]]:
    """Return a row for each number but the last, with the number that follows."""
    return [
        {"text": one, "target": following.upper(), "max_new_tokens": new_tokens}
        for one, following in zip(NUMBERS, NUMBERS[1:], strict=False)
    ]


def spec(folder: Path) -> ModelSpec:
    """Return the model; the rows of its gate are none of the others."""
    return ModelSpec(
        name="counter",
        source="unused",
        task=Task.TEXT_GENERATION,
        eval=write(folder / "eval.jsonl", [{"text": "unseen", "target": "words"}]),
        cpu=CpuSpec(),
        gpu=GpuSpec(instance="ml.g6.xlarge"),
    )
