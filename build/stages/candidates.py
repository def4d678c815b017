"""The stage that makes the candidates of a tier, and runs each on the rows while the next one is made."""

import re
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from build.evaluation.gate import gate_failed
from build.evaluation.gpu_results import HALF, half_problem
from build.evaluation.rows import Row
from build.evaluation.shorter_vectors import shorter_figures, shorter_problems
from build.library_errors import MAKING_CANDIDATE, naming_source
from build.proof.candidate import Candidate
from build.proof.native_run import engine_for, run_engine
from build.proof.processors import processor_name
from build.proof.replay import problem_together
from build.proof.sealing import digest_of_parts, seal
from build.recipes.recipe import PREQUANTIZED, PassedOver, Recipe
from build.stages.workspace import Workspace
from build.step import Step
from build.workspace.background import background
from build.workspace.build_memory import release_memory, room_for_both
from contracts.manifest import MODEL, Manifest
from contracts.tasks import Runtime
from functions.inference.engine import Engine

WITHOUT = "no candidate has operators of our own: {}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sealed:
    """A candidate that was not run yet: its folder, and what its parts are made from."""

    recipe: Recipe
    folder: Path
    manifest: Manifest
    made_from: dict[str, Any]


def candidates_stage(work: Workspace) -> Workspace:
    """Make each candidate and run it on the rows; a recipe that changes nothing of this model is left out.

    So is one in float16, unless a GPU's result for the graph in float32 says that it may ship.
    """
    step = work.step
    made: set[str] = set()
    full, passed_over, notes = "", list(work.passed_over), [*work.notes, *_absent(work)]
    running: list[tuple[Recipe, Future[Candidate]]] = []
    with background() as submit:
        for recipe in _recipes(work):
            if recipe.precision == HALF and (
                why := half_problem(step.gpu_results, step.model, full)
            ):
                passed_over.append({"recipe": recipe.name, "why": why})
                continue
            work.notify(recipe.name)
            sealed = _sealed(work, recipe)
            if isinstance(sealed, str):
                notes.append(sealed)
                continue
            # Recipes that differ in tables or blocks make equal graphs of a model that has none.
            if why := _other_half(step, sealed):
                passed_over.append({"recipe": recipe.name, "why": why})
                continue
            digest = f"{recipe.runtime} {digest_of_parts(sealed.manifest)}"
            full = full or graph_of(sealed.manifest)
            if digest in made:
                continue
            made.add(digest)
            running.append((recipe, submit(_run, work, sealed)))
            if not room_for_both(step.source.weights):
                _finished(running[-1:], [])
        found = _finished(running, passed_over)
    if not found:
        raise gate_failed(
            step.name, len(step.rows), {one["recipe"]: [one["why"]] for one in passed_over}
        )
    return replace(work, candidates=found, passed_over=tuple(passed_over), notes=tuple(notes))


def _finished(
    running: Sequence[tuple[Recipe, Future[Candidate]]], passed_over: list[dict[str, str]]
) -> tuple[Candidate, ...]:
    """Return the candidates that were run, in their order; those that cannot be are added to the ones passed over."""
    found = []
    for recipe, candidate in running:
        try:
            found.append(candidate.result())
        except PassedOver as error:
            passed_over.append({"recipe": recipe.name, "why": str(error)})
    return tuple(found)


def _recipes(work: Workspace) -> Sequence[Recipe]:
    """Return the family's recipes for the runtimes that are tried."""
    step = work.step
    found = tuple(work.family.recipes(step.source, step.tier, step.quantize))
    # A graph that is quantized already is served as it is.
    if step.kernels and step.quantize and found != (PREQUANTIZED,):
        found = (*found, *work.family.kernels)
    return [recipe for recipe in found if recipe.runtime in step.runtimes]


def make_parts(work: Workspace, recipe: Recipe) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a candidate's parts, and what they are made from."""
    step = work.step
    made_from = {"recipe": asdict(recipe), **step.made_from}
    # Without calibration, new rows leave the candidate as it is, and only its outputs are computed again.
    if recipe.calibrated:
        made_from["rows"] = step.rows_digest
    if recipe.kernels:
        made_from["kernels"] = step.kernels
    graphs = _calibrated(work) if recipe.calibrated else work.prepared

    def make(folder: Path) -> None:
        folder.mkdir()
        with naming_source(step.source, folder, MAKING_CANDIDATE):
            work.family.make(recipe, step.source, graphs, step.rows, folder)
        release_memory()

    return work.cache.file(make, "candidate", **made_from), made_from


def _calibrated(work: Workspace) -> Path:
    """Return the folder of what calibrated candidates are made of; it is made once for all of them."""
    step = work.step

    def calibrate(folder: Path) -> None:
        folder.mkdir()
        with naming_source(step.source, folder, MAKING_CANDIDATE):
            work.family.calibrate(step.source, work.prepared, step.rows, folder)

    return work.cache.file(calibrate, "calibrated", rows=step.rows_digest, **step.made_from)


def _absent(work: Workspace) -> list[str]:
    """Return a note where our operators are not compiled and would have been tried."""
    why = work.step.no_kernels
    return [WITHOUT.format(why)] if why and work.step.quantize and work.family.kernels else []


def _sealed(work: Workspace, recipe: Recipe) -> _Sealed | str:
    """Return the candidate of a recipe, or a note on why there is none."""
    try:
        parts, made_from = make_parts(work, recipe)
    except PassedOver as error:
        return WITHOUT.format(error)
    folder = work.folder / f"{work.step.tier}-{re.sub(r'[^a-z0-9]+', '-', recipe.name)}"
    manifest = seal(folder, work.step, recipe, parts, work.reference, work.prepared)
    return _Sealed(recipe=recipe, folder=folder, manifest=manifest, made_from=made_from)


def _run(work: Workspace, sealed: _Sealed) -> Candidate:
    """Run a sealed candidate on the rows and measure it against the reference; raise PassedOver as `_opened` does."""
    step = work.step

    def notify(text: str) -> None:
        work.notify(f"{sealed.recipe.name}: {text}")

    def run() -> Any:
        return run_engine(_opened(sealed, step.rows), step.rows, work.reference, notify)

    # The processor is part of the key, since 8-bit sums and float rounding depend on it.
    built = work.cache.value(
        run, "outputs", rows_run=step.rows_digest, on=processor_name(), **sealed.made_from
    )
    figures = step.comparison.measure(built, work.reference, step.rows)
    shorter = shorter_figures(step.comparison, built, work.reference, step.rows, sealed.manifest)
    return Candidate(
        folder=sealed.folder,
        recipe=sealed.recipe,
        manifest=sealed.manifest,
        outputs=tuple(map(tuple, built)),
        figures=figures,
        problems=(
            *figures.problems(step.gate),
            *shorter_problems(shorter, step.gate),
            *filter(None, [problem_together(sealed.folder, step.comparison, step.rows, built)]),
        ),
        shorter=shorter,
    )


def _opened(sealed: _Sealed, rows: Sequence[Row]) -> Engine:
    """Return the candidate's engine; raise PassedOver where OpenVINO cannot open its graph."""
    try:
        return engine_for(sealed.folder, rows)
    except RuntimeError as error:
        if sealed.recipe.runtime is not Runtime.OPENVINO:
            raise
        # It has several lines on where it was.
        last = str(error).strip().splitlines()[-1:]
        raise PassedOver(f"OpenVINO cannot open it: {''.join(last)}") from error


def graph_of(manifest: Manifest) -> str:
    """Return the SHA-256 of the graph; empty for a model of several."""
    return next((file.sha256 for file in manifest.files if file.path == MODEL), "")


def _other_half(step: Step, sealed: _Sealed) -> str:
    """Return the problem of a graph in float16 that is not the one which was checked on a GPU; empty if it is."""
    graphs = {each.graph for one in step.gpu_results for each in one.precisions.values()}
    if sealed.recipe.precision != HALF or graph_of(sealed.manifest) in graphs:
        return ""
    return "the graph that was checked on a GPU is another; check it again with these packages"
