"""A folder with models.toml and a built classifier, which the tests of `turnout inspect` look at."""

from pathlib import Path
from typing import Any

from typer.testing import CliRunner

import build
from build.prepared import Pair, pairs, prepared
from build.workspace.cache import FOLDER, Cache
from contracts.models_toml import read_models_toml
from tests.tiny_bert import classifier, texts, write_rows
from turnout.cli import app

CPU = "cpu = { objective = 'size', portable = false }"
GPU = "gpu = { instance = 'ml.g6.xlarge' }"


def built(folder: Path, *tiers: str) -> Path:
    """Build those tiers of a classifier; the smallest candidate ships, however near it is."""
    classifier(folder / "source")
    write_rows(folder / "rows.jsonl", [{"text": text} for text in texts(40)])
    gate = "gate = { min_accuracy_ratio = 0.5, min_agreement = 0.5 }"
    lines = ["[models.tiny]", 'source = "source"', 'eval = "rows.jsonl"', *tiers, gate]
    lines.append('task = "text-classification"')
    (folder / "models.toml").write_text("\n".join(lines) + "\n", "utf-8")
    out = folder / "models.out"
    build.run(build.plan(read_models_toml(folder / "models.toml"), out), out)
    return folder


def step_of(home: Path, tier: str = "cpu") -> build.Step:
    steps = build.plan(read_models_toml(home / "models.toml"), home / "models.out")
    return next(step for step in steps if step.tier == tier)


def pair_of(home: Path, tier: str = "cpu") -> Pair:
    out = home / "models.out"
    originals = prepared(step_of(home, tier), Cache(out / FOLDER / "tiny"), lambda text: None)
    (pair,) = pairs(originals, out / "tiny" / tier)
    return pair


def inspect(home: Path, *words: str) -> Any:
    command = ["inspect", "tiny", *words, "-c", str(home / "models.toml")]
    return CliRunner().invoke(app, [*command, "-o", str(home / "models.out")])
