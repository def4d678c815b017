"""The build itself. Stages take a workspace and give back a fuller one.

For each source once: export, optimise, ask the original. Then for each tier: make every candidate, seal it and ask it
by the code that will serve it, time all of them side by side, and publish the cheapest that passes the gate. Tiers of
one source share the first half. What is made is kept in a cache, so that an interrupted build goes on where it was.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from build.edge.copy import copy_edge
from build.errors import GateFailed, SourceError
from build.evaluation.gate import measure
from build.evaluation.metrics import Outputs
from build.families.family import Family
from build.families.registry import family_of
from build.library_errors import MAKING_CANDIDATE, RUNNING_REFERENCE, naming_source
from build.prepared import prepared
from build.proof import choose
from build.proof.candidate import digest_of_parts, run_on_rows, seal, seal_golden, write_manifest
from build.proof.choose import Candidate
from build.proof.evidence import evidence, processor, provenance
from build.proof.portability import first_portable
from build.proof.processors import known, unasked
from build.proof.timing import Timing, time_all
from build.recipes.recipe import Recipe
from build.report.page import write_report
from build.sources.huggingface.weights import unpickled
from build.sources.source import TransformersSource
from build.step import Step
from build.workspace.cache import FOLDER, Cache
from build.workspace.memory import give_back
from build.workspace.progress import Notify, Progress, silent
from build.workspace.publish import publish, work_folder, write_json
from contracts.errors import ModelFailed
from contracts.problems import Code
from contracts.tasks import Tier
from functions.inference.session import threads_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The results of a build so far.

    `seconds` are the durations of the stages; `notify` is called with what is at work within one.
    """

    folder: Path
    step: Step
    cache: Cache
    prepared: Path = Path()
    original: tuple[Outputs, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    chosen: Candidate | None = None
    processors: tuple[dict[str, Any], ...] = ()
    passed_over: tuple[dict[str, str], ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    notify: Notify = silent

    @property
    def family(self) -> Family[Any, Any]:
        return family_of(self.step.source)


Stage = Callable[[Workspace], Workspace]


def export_stage(work: Workspace) -> Workspace:
    return replace(work, prepared=prepared(work.step, work.cache, work.notify))


def original_stage(work: Workspace) -> Workspace:
    step = work.step

    def asked() -> Any:
        with naming_source(step.source, work.folder, RUNNING_REFERENCE):
            try:
                return work.family.original(step.source, step.rows, work.prepared, work.notify)
            except ModelFailed as error:
                message = (
                    "the original answers with numbers that are not finite; look for NaN in its weights and save it "
                    "again"
                )
                raise SourceError.about(step.name, Code.WEIGHTS_NOT_FINITE, message) from error

    found = work.cache.value(asked, "original", rows=step.rows_digest, **work.step.made_from)
    return replace(work, original=tuple(tuple(outputs) for outputs in found))


def candidates_stage(work: Workspace) -> Workspace:
    """Make and ask each candidate; a recipe that changes nothing of this model is left out."""
    step = work.step
    made: set[str] = set()
    for recipe in work.family.recipes(step.source, step.tier, step.quantize):
        work.notify(recipe.name)
        candidate = _attempt(work, recipe)
        digest = digest_of_parts(candidate.manifest)
        if digest not in made:
            made.add(digest)
            work = replace(work, candidates=(*work.candidates, candidate))
    return work


def _attempt(work: Workspace, recipe: Recipe) -> Candidate:
    step = work.step
    made_from = {"recipe": asdict(recipe), **work.step.made_from}
    if recipe.calibrated:
        made_from["rows"] = step.rows_digest

    def make(folder: Path) -> None:
        folder.mkdir()
        with naming_source(step.source, folder, MAKING_CANDIDATE):
            work.family.make(recipe, step.source, work.prepared, step.rows, folder)
        give_back()

    parts = work.cache.file(make, "candidate", **made_from)
    folder = work.folder / f"{step.tier}-{re.sub(r'[^a-z0-9]+', '-', recipe.name)}"
    manifest = seal(folder, step, recipe, parts, work.original)

    def notify(text: str) -> None:
        work.notify(f"{recipe.name}: {text}")

    built = work.cache.value(
        lambda: run_on_rows(folder, step.rows, work.original, notify),
        "answers",
        asked=step.rows_digest,
        on=processor(),
        **made_from,
    )
    manifest = seal_golden(folder, manifest, step.rows, work.original, built)
    figures = measure(step.task, built, work.original, step.rows)
    return Candidate(
        folder=folder,
        recipe=recipe,
        manifest=manifest,
        outputs=tuple(tuple(outputs) for outputs in built),
        figures=figures,
        failures=tuple(figures.failures(step.gate)),
    )


def timing_stage(work: Workspace) -> Workspace:
    """Time all candidates of a CPU tier side by side, on as many threads as its memory comes with."""
    step = work.step
    if step.tier is Tier.GPU:  # this machine says nothing of that one
        return work
    tokens = [sum(output["tokens"] for output in outputs) for outputs in work.original]
    asked = work.family.requests(step.source, step.rows, work.original)
    shares = choose.shares(tokens, list(asked))
    folders = [candidate.folder for candidate in work.candidates]
    timings: list[Timing] = time_all(folders, asked, threads_of(step.memory_mb), work.notify)
    return replace(
        work,
        candidates=tuple(
            replace(c, timing=t, expected_ms=choose.expected_ms(t, shares))
            for c, t in zip(work.candidates, timings, strict=True)
        ),
    )


def choose_stage(work: Workspace) -> Workspace:
    """Pick the best that passes the gate, here and on other processors; raises GateFailed with what each came to."""
    step = work.step
    processors = known() if step.portable else unasked(known(), "`portable` is false")
    ordered = choose.order(work.candidates, step.objective)
    found = first_portable(step, ordered, work.cache, processors, work.notify)
    wrong = found.wrong
    work = replace(
        work,
        chosen=found.chosen,
        processors=found.seen,
        passed_over=tuple(
            {"recipe": c.recipe.name, "why": wrong[c.folder]} for c in ordered if c.folder in wrong
        ),
        candidates=tuple(
            replace(c, failures=(*c.failures, wrong[c.folder])) if c.folder in wrong else c
            for c in work.candidates
        ),
    )
    if found.chosen is None:
        lines = [f"  {c.recipe.name}: {'; '.join(c.failures)}" for c in work.candidates]
        raise GateFailed(
            "\n".join(
                [
                    f"{step.name}: no candidate answers enough like the original on {len(step.rows)} rows:",
                    *lines,
                    "loosen `gate` if you can accept these figures, or look at the rows",
                ]
            )
        )
    return work


SOURCE_STAGES: tuple[tuple[str, Stage], ...] = (
    ("exporting to ONNX", export_stage),
    ("asking the original", original_stage),
)
TIER_STAGES: tuple[tuple[str, Stage], ...] = (
    ("making candidates", candidates_stage),
    ("timing candidates", timing_stage),
    ("choosing", choose_stage),
)
STAGES = len(SOURCE_STAGES) + len(TIER_STAGES)


def build_all(steps: Sequence[Step], out: Path, progress: Progress) -> None:
    """Build what is not current, source by source; raises BuildError. Earlier artefacts stay on failure."""
    for step in steps:
        progress.stage(step.name, "current" if step.current else "waiting", float(step.current))
    lacking = [step for step in steps if not step.current]
    for step in lacking:
        if step.sealed:
            _copy(step, out, progress)
            progress.stage(step.name, "proven and sealed", 1.0)
    todo = [step for step in lacking if not step.sealed]
    for model, of_model in groupby(todo, key=lambda step: step.model):
        cache = Cache(out / FOLDER / model)
        for _, group in groupby(of_model, key=lambda step: step.source):
            with work_folder(out) as folder:
                tiers = _unpickled(list(group), folder)
                work = Workspace(folder=folder, step=tiers[0], cache=cache)
                work = run(work, SOURCE_STAGES, progress, done=0)
                for step in tiers:
                    tier = replace(work, step=step)
                    tier = run(tier, TIER_STAGES, progress, done=len(SOURCE_STAGES))
                    finish(tier, out)
                    if step.edge:
                        _copy(step, out, progress)
                    progress.stage(step.name, "proven and sealed", 1.0)
        cache.prune()


def _copy(step: Step, out: Path, progress: Progress) -> None:
    """Make the edge copy of what is sealed."""
    progress.stage(step.name, "proving the edge copy", 0.95)
    with work_folder(out) as folder:
        copy_edge(out / step.model / step.tier, folder)


def _unpickled(steps: Sequence[Step], folder: Path) -> list[Step]:
    """The steps of one source, with weights that are safe to load."""
    source = steps[0].source
    if not isinstance(source, TransformersSource):
        return list(steps)
    safe = unpickled(source, folder / "source")
    return [replace(step, source=safe) for step in steps]


def run(
    work: Workspace, stages: Sequence[tuple[str, Stage]], progress: Progress, *, done: int
) -> Workspace:
    for number, (name, stage) in enumerate(stages, start=done):
        share = number / STAGES
        progress.stage(work.step.name, name, share)

        start = time.perf_counter()
        work = stage(replace(work, notify=partial(_notify, progress, work.step.name, name, share)))
        give_back()
        took = round(time.perf_counter() - start, 2)
        work = replace(work, seconds={**work.seconds, name: took})
    return work


def _notify(progress: Progress, of: str, stage: str, share: float, text: str) -> None:
    progress.stage(of, f"{stage}: {text}", share)


def finish(work: Workspace, out: Path) -> None:
    """Make the chosen candidate visible, then write down what was measured."""
    chosen, place = work.chosen, out / work.step.model
    assert chosen
    manifest = write_manifest(
        chosen.folder, chosen.manifest, provenance=provenance(work.step, chosen, work.processors)
    )
    chosen = replace(chosen, manifest=manifest)
    document = evidence(
        work.step,
        chosen,
        work.candidates,
        work.original,
        work.seconds,
        work.processors,
        work.passed_over,
        work.family.unit,
    )
    publish(chosen.folder, place / work.step.tier)
    write_json(place / "evidence" / f"{work.step.tier}.json", document)
    write_report(place, chosen.figures.least(work.step.gate))
