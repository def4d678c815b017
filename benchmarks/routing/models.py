"""The two models of a set, fine-tuned on the same rows: MiniLM for the CPU tier, MPNet for the GPU tier."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.finetune import write_rows
from benchmarks.routing.sets import Parts
from benchmarks.routing.training import train
from contracts.tasks import Tier
from examples.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A pretrained encoder, of which so many lower layers stay as they were pretrained."""

    title: str
    frozen: int


KINDS: Mapping[Tier, Kind] = {
    Tier.CPU: Kind(title="all-MiniLM-L6-v2", frozen=2),
    Tier.GPU: Kind(title="all-mpnet-base-v2", frozen=10),
}


def make_model(tier: Tier, weights: Path, parts: Parts, epochs: int, folder: Path) -> None:
    """Write the fine-tuned model of a tier as a Hugging Face folder, unless it is there."""
    if folder.is_dir():
        return
    labels = sorted({row.label for row in parts.training})
    start = time.perf_counter()
    model, tokenizer = train(
        weights, parts.training, labels, frozen=KINDS[tier].frozen, epochs=epochs
    )
    # Renamed when it is whole, so that half a folder is never taken for a model.
    half = folder.with_name(f".{folder.name}")
    tokenizer.save_pretrained(half)
    model.save_pretrained(half)
    half.rename(folder)
    print(f"{folder}: {time.perf_counter() - start:.0f} s", flush=True)


def write_parts(parts: Parts, folder: Path) -> None:
    """Write the rows of a set as the build and the calibration read them."""
    folder.mkdir(parents=True, exist_ok=True)
    named: Mapping[str, Sequence[Row]] = {
        "train": parts.training,
        "gate": parts.gate,
        "routed": parts.routed,
    }
    for name, rows in named.items():
        write_rows(folder / f"{name}.jsonl", rows)
