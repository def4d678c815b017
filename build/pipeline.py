"""The build itself. Stages take a workspace and give back a fuller one.

For each source once: export, optimise, ask the original. Then for each tier: try recipes in order, each sealed and
asked by the code that will serve it; the first that passes the gate is published. Tiers of one source share the first
half, so the second tier costs seconds.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from build.errors import GateFailed, SourceError
from build.evidence import evidence
from build.export import export
from build.gate import MEASURES, Answers, Figures, figures_of
from build.golden import write_golden
from build.optimise import optimise
from build.original import answers
from build.plan import Step, toolchain
from build.progress import Progress
from build.publish import publish, work_folder, write_whole
from build.quantize import FLOAT, RECIPES, Recipe, quantize
from contracts.manifest import MANIFEST, Manifest, sealed_files
from contracts.prediction import PredictRequest
from functions.inference.engine import Engine
from functions.inference.tokens import encode, open_tokenizer

FILES = ("golden.jsonl", "model.onnx", "tokenizer.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A sealed folder made by a recipe, and how near it comes to the original."""

    folder: Path
    recipe: Recipe
    manifest: Manifest
    figures: Figures
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """What a build has so far. `seconds` is what each stage took."""

    folder: Path
    step: Step
    exported: Path | None = None
    optimised: Path | None = None
    original: Answers | None = None
    tried: tuple[Candidate, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(row.text for row in self.step.rows)


Stage = Callable[[Workspace], Workspace]


def export_stage(work: Workspace) -> Workspace:
    return replace(work, exported=export(work.step.source, work.folder / "exported"))


def optimise_stage(work: Workspace) -> Workspace:
    assert work.exported
    done = optimise(work.step.source, work.exported, work.folder / "optimised.onnx")
    return replace(work, optimised=done)


def original_stage(work: Workspace) -> Workspace:
    found = answers(work.step.source, work.texts)
    if not np.isfinite(found).all():
        raise SourceError(
            [
                f"{work.step.name}: the original answers with numbers that are not finite; "
                "look for NaN in its weights and save it again"
            ]
        )
    return replace(work, original=found)


def choose_stage(work: Workspace) -> Workspace:
    """Try recipes until one passes the gate; raises GateFailed with what each of them came to."""
    for recipe in RECIPES if work.step.quantize else (FLOAT,):
        candidate = try_recipe(work, recipe)
        work = replace(work, tried=(*work.tried, candidate))
        if not candidate.failures:
            return work
    lines = [f"  {c.recipe.name}: {'; '.join(c.failures)}" for c in work.tried]
    raise GateFailed(
        "\n".join(
            [
                f"{work.step.name}: no candidate answers enough like the original on {len(work.texts)} rows:",
                *lines,
                'keep more of it in float with quantize = "none", loosen `gate` if you can accept these figures, '
                "or look at the rows",
            ]
        )
    )


SOURCE_STAGES: tuple[tuple[str, Stage], ...] = (
    ("exporting to ONNX", export_stage),
    ("fusing the graph", optimise_stage),
    ("asking the original", original_stage),
)
TIER_STAGES: tuple[tuple[str, Stage], ...] = (("quantizing and proving", choose_stage),)
STAGES = len(SOURCE_STAGES) + len(TIER_STAGES)


def build_all(steps: Sequence[Step], out: Path, progress: Progress) -> None:
    """Build what is not current, source by source; raises BuildError. Earlier artefacts stay on failure."""
    for step in steps:
        progress.stage(step.name, "current" if step.current else "waiting", float(step.current))
    todo = [step for step in steps if not step.current]
    for _, group in groupby(todo, key=lambda step: (step.model, step.source)):
        tiers = list(group)
        with work_folder(out) as folder:
            work = Workspace(folder=folder, step=tiers[0])
            work = run(work, SOURCE_STAGES, progress, done=0)
            for step in tiers:
                tier = replace(work, step=step)
                tier = run(tier, TIER_STAGES, progress, done=len(SOURCE_STAGES))
                finish(tier, out)
                progress.stage(step.name, "proven and sealed", 1.0)


def run(
    work: Workspace, stages: Sequence[tuple[str, Stage]], progress: Progress, *, done: int
) -> Workspace:
    for number, (name, stage) in enumerate(stages, start=done):
        progress.stage(work.step.name, name, number / STAGES)
        start = time.perf_counter()
        work = stage(work)
        took = round(time.perf_counter() - start, 2)
        work = replace(work, seconds={**work.seconds, name: took})
    return work


def try_recipe(work: Workspace, recipe: Recipe) -> Candidate:
    """Make, seal, load and ask one candidate."""
    assert work.optimised
    assert work.original is not None
    step, source = work.step, work.step.source
    folder = work.folder / f"{step.tier}-{len(work.tried)}"
    folder.mkdir()
    shutil.copyfile(source.folder / "tokenizer.json", folder / "tokenizer.json")
    tokenizer = open_tokenizer(folder / "tokenizer.json", source.max_tokens)
    quantize(recipe, work.optimised, folder / "model.onnx", encode(tokenizer, work.texts))
    write_golden(folder / "golden.jsonl", source, step.rows, work.original)
    manifest = seal(folder, step, recipe, dimensions=work.original.shape[1])
    engine = Engine.load(folder, max_inputs=len(step.rows))
    # The limit on vectors in one answer is for callers over the network; rows are asked one request each.
    outputs = [engine.predict(PredictRequest(inputs=(text,))).outputs[0] for text in work.texts]
    figures = MEASURES[step.task](outputs, work.original, step.rows, source.labels)
    return Candidate(
        folder=folder,
        recipe=recipe,
        manifest=manifest,
        figures=figures,
        failures=tuple(figures.failures(step.gate)),
    )


def seal(folder: Path, step: Step, recipe: Recipe, *, dimensions: int) -> Manifest:
    """Write the folder's manifest over all of its files."""
    source = step.source
    manifest = Manifest(
        model=step.model,
        task=step.task,
        tier=step.tier,
        precision="int8" if recipe.operators else "fp32",
        recipe=recipe.name,
        max_tokens=source.max_tokens,
        labels=source.labels,
        dimensions=0 if source.labels else dimensions,
        pooling=source.pooling,
        normalize=source.normalize,
        pad_token_id=source.pad_token_id,
        source_digest=source.digest,
        build_key=step.build_key,
        toolchain=toolchain(),
        files=sealed_files(folder, FILES),
    ).sealed()
    (folder / MANIFEST).write_text(manifest.to_json(), "utf-8")
    return manifest


def finish(work: Workspace, out: Path) -> None:
    """Make the chosen candidate visible, then write down what was measured."""
    chosen = work.tried[-1]
    place = out / work.step.model
    document = evidence(
        chosen.manifest,
        rows=len(work.texts),
        bytes_original=work.step.source.weight_bytes,
        figures=figures_of(chosen.figures),
        tried=[
            {"recipe": c.recipe.name, **figures_of(c.figures), "failures": list(c.failures)}
            for c in work.tried
        ],
        seconds=work.seconds,
    )
    publish(chosen.folder, place / work.step.tier)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    write_whole(place / "evidence" / f"{work.step.tier}.json", text)
