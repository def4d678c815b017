"""A model of two tiers that know the same words unlike each other, and labelled rows of these words."""

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from contracts.tasks import Tier
from tests.fixtures.models.tiny import Tiny, artefact

# The CPU tier is unsure of "dim", and wrong; it is as sure of "sly" as of what it knows, and wrong as well.
CPU = {"awful": (2.0, 0, 0), "lovely": (0, 2.0, 0), "dim": (0.3, 0, 0.2), "sly": (0, 2.0, 0)}
GPU = {"awful": (2.0, 0, 0), "lovely": (0, 2.0, 0), "dim": (0, 0, 2.0), "sly": (0, 0, 2.0)}
RIGHT = {"awful": "bad", "lovely": "good", "dim": "so-so", "sly": "so-so"}


def artefacts(out: Path) -> Path:
    """Seal an artefact of each tier of the model "moods" in a folder."""
    for tier, known in ((Tier.CPU, CPU), (Tier.GPU, GPU)):
        artefact(out / "moods" / tier, Tiny(model="moods", tier=tier, words=known))
    return out


def rows(**counts: int) -> list[Mapping[str, str]]:
    """Return as many rows of each word, each another text."""
    found: list[Mapping[str, str]] = [
        {"text": f"{word} {number} {word}", "label": RIGHT[word]}
        for word, count in counts.items()
        for number in range(count)
    ]
    random.Random(1).shuffle(found)
    return found


def write(path: Path, lines: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path
