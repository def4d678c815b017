"""The build pipeline: the stages of `build.stages` run for each artefact, and the results published.

Once for each source: export it, optimise the graph, run the reference. Then for each tier: make every candidate, seal
it and run it by the code that will serve it, time all of them side by side, and publish the one that the objective
ranks first among those that pass the gate.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from build.edge.copy import copy_edge
from build.proof.evidence import evidence, provenance
from build.proof.golden import SEAL, evidence_path, write_golden
from build.proof.processors import Processor
from build.proof.sealing import seal_chosen
from build.report.page import write_report
from build.sources.huggingface.tokenizer import with_settings
from build.sources.huggingface.weights import unpickled
from build.sources.source import GraphSource, TransformersSource
from build.stages import SOURCE_STAGES, TIER_STAGES
from build.stages.choosing import timing_stage
from build.stages.workspace import Stage, Workspace
from build.step import Step
from build.workspace.build_memory import release_memory
from build.workspace.cache import FOLDER, Cache
from build.workspace.progress import Progress
from build.workspace.publish import publish, work_folder, write_json

STAGES = len(SOURCE_STAGES) + len(TIER_STAGES)


def build_all(
    steps: Sequence[Step],
    out: Path,
    progress: Progress,
    processors: tuple[Processor, ...],
    *,
    timed: bool = True,
) -> None:
    """Build every step that is not current, source by source; check candidates on the processors.

    Raise BuildError; artefacts of earlier builds stay in place then.
    """
    for step in steps:
        progress(step.name, "current" if step.current else "waiting", float(step.current))
    outdated = [step for step in steps if not step.current]
    for step in outdated:
        # The artefact is sealed already, and its edge copy alone is outdated.
        if step.sealed:
            _copy(step, out, progress)
            progress(step.name, "proven and sealed", 1.0)
    unbuilt = [step for step in outdated if not step.sealed]
    tier_stages = [stage for stage in TIER_STAGES if timed or stage[1] is not timing_stage]
    # Steps are in the order of models.toml, so those of one model, and of one source, are neighbours.
    for model, of_model in groupby(unbuilt, key=lambda step: step.model):
        cache = Cache(out / FOLDER / model)
        try:
            for _, group in groupby(of_model, key=lambda step: step.source):
                _build_source(list(group), out, cache, progress, processors, tier_stages)
            # Only now, since both tiers use entries of their source.
            cache.prune()
        finally:
            cache.sweep()


def _build_source(
    steps: Sequence[Step],
    out: Path,
    cache: Cache,
    progress: Progress,
    processors: tuple[Processor, ...],
    tier_stages: Sequence[tuple[str, Stage]],
) -> None:
    """Build and publish the tiers of one source, which share its stages."""
    with work_folder(out) as folder:
        tiers = _readable(steps, folder)
        work = Workspace(
            folder=folder,
            step=tiers[0],
            cache=cache,
            processors=processors,
            notes=tiers[0].source.notes,
        )
        work = run(work, SOURCE_STAGES, progress, done=0)
        for step in tiers:
            tier = replace(work, step=step)
            tier = run(tier, tier_stages, progress, done=len(SOURCE_STAGES))
            finish(tier, out)
            if step.edge:
                _copy(step, out, progress)
            progress(step.name, "proven and sealed", 1.0)


def _copy(step: Step, out: Path, progress: Progress) -> None:
    """Make the edge copy of a sealed artefact."""
    progress(step.name, "proving the edge copy", 0.95)
    with work_folder(out) as folder:
        copy_edge(out / step.model / step.tier, folder)


def _readable(steps: Sequence[Step], folder: Path) -> list[Step]:
    """Return the steps of one source with files that can be used as they are.

    Pickles are read as tensors alone, and the settings beside tokenizer.json are put into it.
    """
    source = steps[0].source
    if isinstance(source, TransformersSource):
        source = unpickled(source, folder / "source")
    if isinstance(source, TransformersSource | GraphSource):
        source = with_settings(source, folder)
    return [replace(step, source=source) for step in steps]


def run(
    work: Workspace, stages: Sequence[tuple[str, Stage]], progress: Progress, *, done: int
) -> Workspace:
    """Run the stages in order and time each; `done` stages of the artefact were run before them."""
    for number, (name, stage) in enumerate(stages, start=done):
        share = number / STAGES
        progress(work.step.name, name, share)
        start = time.perf_counter()
        work = stage(replace(work, notify=partial(_notify, progress, work.step.name, name, share)))
        release_memory()
        took = round(time.perf_counter() - start, 2)
        work = replace(work, seconds={**work.seconds, name: took})
    return work


def _notify(progress: Progress, name: str, stage: str, share: float, text: str) -> None:
    progress(name, f"{stage}: {text}", share)


def finish(work: Workspace, out: Path) -> None:
    """Publish the chosen candidate, then write its golden rows, its evidence and the page of its model.

    An artefact without evidence is built again: an interrupt after publishing leaves nothing half-finished.
    """
    chosen, place = work.chosen, out / work.step.model
    # `choose_stage` raises GateFailed where there is none.
    assert chosen
    manifest = seal_chosen(
        chosen.folder,
        work.step,
        chosen.manifest,
        provenance(work.step, chosen, work.processor_results),
    )
    chosen = replace(chosen, manifest=manifest)
    document = evidence(
        work.step,
        chosen,
        work.candidates,
        work.reference,
        work.seconds,
        work.processor_results,
        work.passed_over,
        work.family.unit,
        work.notes,
        asdict(work.reading),
        work.uninformative,
    )
    artefact = place / work.step.tier
    publish(chosen.folder, artefact)
    golden = write_golden(artefact, work.step.rows, work.reference, chosen.outputs)
    write_json(evidence_path(artefact), {**document, SEAL: asdict(golden)})
    write_report(place, chosen.figures.threshold(work.step.gate))
