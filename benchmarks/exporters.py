"""The exporters of a Hugging Face folder side by side: their graphs, made into the same candidates, run in turn.

`python -m benchmarks.exporters CONFIG` exports each Hugging Face folder of a models.toml with optimum and with
torch.onnx, and makes the same candidates of both. In one process, round after round in an order that rotates, every
engine answers the same requests, and the median processor time on one thread counts. Where a session's weights come to
lie in memory alone makes it up to 2 % faster or slower, so all engines are opened several times, and an interval is
that of the ratio among these loads. The control is a second engine of torch.onnx's candidate against the first.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.inference.rounds import rotated
from benchmarks.record import Row, publish
from build.evaluation.bootstrap import bootstrap_counts
from build.export.exporters import OPTIMUM, TORCH, Exporter
from build.export.fusion import FUSED, PLAIN, fuse, plain
from build.export.generator import prepare_causal, prepare_seq2seq
from build.families.encoders import FAMILY
from build.families.family import Family
from build.families.generators import CAUSAL
from build.families.registry import family_of
from build.plan import plan
from build.proof.sealing import seal
from build.recipes.encoder import FP32_FUSED, INT8
from build.recipes.recipe import Recipe
from build.sources.source import TransformersSource
from build.step import Step
from build.workspace.progress import silent
from contracts.manifest import MODEL
from contracts.models_toml import read_models_toml
from contracts.prediction import PredictRequest
from contracts.tasks import Tier
from functions.inference.engine import Engine

# Full precision, the cheapest 8 bits and the most elaborate ones; of a generator full precision, 8 bits and 4 bits.
ENCODER_RECIPES = (FP32_FUSED, *(r for r in INT8 if r.name in ("int8", "int8 smoothed, static")))
GENERATOR_RECIPES = ("fp32", "int8 weights", "int4 weights, offsets")
# Rows that give the requests, and that candidates are calibrated on.
ROWS = 200
NEW_TOKENS = 16
Array = np.ndarray[Any, np.dtype[np.float64]]
# The times of every engine, by its name.
Seconds = Mapping[str, Array]
OLD, NEW, CONTROL = "optimum", "torch.onnx", "torch.onnx again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One exporter's graphs of a model, the seconds it took, and its candidates by the name of the recipe."""

    seconds: float
    candidates: Mapping[str, Path]

    def megabytes(self, recipe: str) -> float:
        return sum(f.stat().st_size for f in self.candidates[recipe].glob("*.onnx*")) / 1e6

    def nodes(self, recipe: str) -> int:
        paths = self.candidates[recipe].glob("*.onnx")
        return sum(len(onnx.load(p, load_external_data=False).graph.node) for p in paths)


def prepare(
    family: Family[Any, Any], source: TransformersSource, exporter: Exporter, folder: Path
) -> float:
    """Write the graphs that candidates are made of, by this exporter alone; return the seconds of the export itself."""
    took = []

    def export(given: Path, destination: Path, task: str) -> Path:
        start = time.perf_counter()
        made = exporter.export(given, destination, task)
        took.append(time.perf_counter() - start)
        return made

    folder.mkdir(parents=True)
    if family is FAMILY:
        task = source.task.transformers.export_task
        exported = export(source.folder, folder.with_name("exported"), task)
        plain(source, exported / MODEL, folder / PLAIN)
        fuse(source, folder / PLAIN, folder / FUSED)
    else:
        write = prepare_causal if family is CAUSAL else prepare_seq2seq
        write(source.folder, folder, source.max_tokens, export)
    return sum(took)


def recipes_of(family: Family[Any, Any], step: Step) -> Sequence[Recipe]:
    if family is FAMILY:
        return ENCODER_RECIPES
    found = family.recipes(step.source, Tier.CPU, True)
    return [recipe for recipe in found if recipe.name in GENERATOR_RECIPES]


def made_by(exporter: Exporter, step: Step, outputs: Any, folder: Path) -> Made:
    """Return the candidates of a step's model that this exporter's graphs make."""
    source, family = step.source, family_of(step.source)
    assert isinstance(source, TransformersSource)
    seconds = prepare(family, source, exporter, folder / "prepared")
    candidates = {}
    for recipe in recipes_of(family, step):
        parts = folder / f"{recipe.name}, parts"
        parts.mkdir()
        family.make_alone(recipe, source, folder / "prepared", step.rows, parts)
        candidates[recipe.name] = folder / recipe.name
        seal(candidates[recipe.name], step, recipe, parts, outputs)
    return Made(seconds=seconds, candidates=candidates)


def rounds_of(
    engines: Mapping[str, Engine], requests: Sequence[PredictRequest], rounds: int
) -> Seconds:
    """Return the median processor time of every engine for each request: [requests], in seconds."""
    names = list(engines)
    took = {name: np.zeros((rounds, len(requests))) for name in names}
    for number in range(-1, rounds):  # the first warms up, and is overwritten by the last
        for place, request in enumerate(requests):
            for name in rotated(names, number):
                start = time.process_time()
                engines[name].predict(request)
                took[name][number, place] = time.process_time() - start
    return {name: np.median(times, axis=0) for name, times in took.items()}


def loads_of(
    folders: Mapping[str, Path], requests: Sequence[PredictRequest], loads: int, rounds: int
) -> Seconds:
    """Return the times of every engine, opened anew for each load, in another order: [loads, requests]."""
    names, found = list(folders), []
    for number in range(loads):
        order = rotated(names, number)
        engines = {name: Engine.load(folders[name], threads=1) for name in order}
        found.append(rounds_of(engines, requests, rounds))
    return {name: np.stack([times[name] for times in found]) for name in names}


def ratio(one: Array, other: Array) -> str:
    """Format the median ratio of paired times, with its 95 % interval by the bootstrap of loads."""
    ratios = np.median(one / other, axis=1)
    draws = [np.median(np.repeat(ratios, n.astype(int))) for n in bootstrap_counts(len(ratios))]
    low, high = np.quantile(draws, (0.025, 0.975))
    return f"{np.median(ratios):.3f} ({low:.3f} to {high:.3f})"


def generating(
    requests: Sequence[PredictRequest], family: Family[Any, Any]
) -> list[PredictRequest]:
    if family is FAMILY:
        return list(requests)
    return [replace(request, parameters={"max_new_tokens": NEW_TOKENS}) for request in requests]


def compared(step: Step, work: Path, loads: int, rounds: int) -> list[Row]:
    """Return one row for each recipe of the step's model."""
    family = family_of(step.source)
    step = replace(step, rows=step.rows[:ROWS])
    outputs = family.reference(step.source, step.rows[:8], work, silent).outputs
    requests = generating(
        list(family.requests(step.source, step.rows[:8], outputs).values()), family
    )
    old, new = (made_by(e, step, outputs, work / n) for e, n in ((OPTIMUM, OLD), (TORCH, NEW)))
    rows: list[Row] = []
    for recipe, folder in new.candidates.items():
        folders = {OLD: old.candidates[recipe], NEW: folder, CONTROL: folder}
        took = loads_of(folders, requests, loads, rounds)
        rows.append(
            {
                "model": step.model,
                "recipe": recipe,
                "export, s": f"{old.seconds:.1f} → {new.seconds:.1f}",
                "nodes": f"{old.nodes(recipe)} → {new.nodes(recipe)}",
                "MB": f"{old.megabytes(recipe):.1f} → {new.megabytes(recipe):.1f}",
                "time, torch.onnx / optimum": ratio(took[NEW], took[OLD]),
                "control": ratio(took[CONTROL], took[NEW]),
            }
        )
        print(rows[-1], flush=True)
    return rows


def main(config: Path, loads: int, rounds: int) -> None:
    rows: list[Row] = []
    for step in plan(read_models_toml(config), config.parent / "models.out"):
        if step.tier is Tier.CPU and isinstance(step.source, TransformersSource):
            with tempfile.TemporaryDirectory() as work:
                rows += compared(step, Path(work), loads, rounds)
    publish(
        "exporters", rows, command="benchmarks.exporters", loads=loads, rounds=rounds, threads=1
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exporters", description=__doc__)
    parser.add_argument("config", type=Path, help="a models.toml of Hugging Face folders")
    parser.add_argument("--loads", type=int, default=9, help="how often the engines are opened")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every load")
    given = parser.parse_args()
    main(given.config, given.loads, given.rounds)
