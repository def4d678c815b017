"""The portability check: a candidate run on other processors, and compared with its outputs on this machine.

`processors.py` decides which of them rejects a candidate that differs (`Processor.blocking`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from build.evaluation.gpu_results import FULL, HALF
from build.evaluation.shorter_vectors import shorter_figures
from build.proof.candidate import Candidate
from build.proof.emulation import places_to_run, run_under, truncated
from build.proof.processors import Processor, instruction_set, limited
from build.proof.sealing import digest_of_parts
from build.recipes.recipe import PREQUANTIZED, Recipe
from build.step import Step
from build.workspace.cache import Cache
from build.workspace.progress import Notify, silent
from contracts.tasks import Runtime

NOT_CHECKED = "not checked"
UNCHECKED = f"{NOT_CHECKED} on other processors"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortabilityResult:
    """The first candidate that is portable, and its results on each processor.

    `problems` are those of the candidates ranked before it, by their folders: the build falls back past them. `notes`
    are for the user: checks that could not be made.
    """

    chosen: Candidate | None = None
    processors: tuple[dict[str, Any], ...] = ()
    problems: Mapping[Path, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def first_portable(
    step: Step,
    ordered: Sequence[Candidate],
    cache: Cache,
    processors: Sequence[Processor],
    notify: Notify = silent,
) -> PortabilityResult:
    """Check the candidates in order, up to the first that is portable; none is chosen if none is."""
    problems: dict[Path, str] = {}
    for candidate in ordered:
        problem, results = check_portability(step, candidate, cache, processors, notify)
        if not problem:
            return PortabilityResult(
                chosen=candidate,
                processors=tuple(results),
                problems=problems,
                notes=_unchecked_notes(step, candidate.recipe, processors),
            )
        problems[candidate.folder] = problem
    return PortabilityResult(problems=problems)


def _unchecked_notes(
    step: Step, recipe: Recipe, processors: Sequence[Processor]
) -> tuple[str, ...]:
    """Return the note on a graph that came quantized and was not run on a blocking processor."""
    reasons = [one.unavailable for one in processors if one.blocking and one.unavailable]
    # With `portable = false` the user has decided so and needs no note.
    if not (reasons and recipe == PREQUANTIZED and step.portable):
        return ()
    return (f"{UNCHECKED}, where its sums may saturate: {reasons[0]}",)


def check_portability(
    step: Step,
    candidate: Candidate,
    cache: Cache,
    processors: Sequence[Processor],
    notify: Notify = silent,
) -> tuple[str, list[dict[str, Any]]]:
    """Return the problem on the first processor that rejects the candidate, and the result on each one checked.

    A candidate of floats is not checked: it has no integer sums that could saturate. After the first problem no
    other processor is checked, since emulation takes minutes.
    """
    results = [_result(instruction_set(), "this machine", len(step.rows), 1.0, "measured here")]
    if candidate.recipe.precision in (FULL, HALF):
        return "", results
    on_openvino = candidate.recipe.runtime is Runtime.OPENVINO and step.portable
    for processor in map(limited, processors) if on_openvino else processors:
        # With `portable = false` it is unavailable like the others, so that the same candidate ships from any machine.
        if processor.native and not processor.unavailable:
            continue
        result = _run_on(processor, step, candidate, cache, notify)
        results.append(result)
        problem = _problem(candidate.recipe, processor, result["verdict"])
        if problem:
            return problem, results
    return "", results


def _problem(recipe: Recipe, processor: Processor, verdict: str) -> str:
    """Return why the verdict keeps the candidate from being shipped; empty if it does not."""
    if not processor.blocking or verdict == "holds":
        return ""
    if verdict != NOT_CHECKED:
        return f"on {processor.name}: {verdict}"
    # Of a model that came quantized there is no safer candidate, so it ships unchecked, with a note.
    if not recipe.may_saturate or recipe == PREQUANTIZED:
        return ""
    return f"not checked on {processor.name}, where its sums may saturate: {processor.unavailable}"


def _run_on(
    processor: Processor, step: Step, candidate: Candidate, cache: Cache, notify: Notify
) -> dict[str, Any]:
    if processor.unavailable:
        return _result(processor.name, f"not asked: {processor.unavailable}", 0, 0.0, NOT_CHECKED)
    few = not (processor.blocking and candidate.recipe.may_saturate)
    places = places_to_run(candidate.manifest.size, step.rows, candidate.outputs, few=few)
    rows = [step.rows[place] for place in places]
    here = [truncated(candidate.outputs[place]) for place in places]
    notify(f"{candidate.recipe.name} under {processor.how}")
    # The key has the parts and not the version: golden rows and provenance change nothing of what runs there.
    there = cache.value(
        lambda: run_under(processor, candidate.folder, rows, here, notify),
        "emulated",
        parts=digest_of_parts(candidate.manifest),
        how=processor.how,
        places=places,
        rows=step.rows_digest,
        toolchain=dict(candidate.manifest.toolchain),
    )
    # Compared with the outputs on this machine, not with the reference: the kernels are under test, not the recipe.
    whole = step.comparison.measure(there, here, rows)
    shorter = shorter_figures(step.comparison, there, here, rows, candidate.manifest)
    named = [("", whole), *((f" at {number} dimensions", one) for number, one in shorter.items())]
    at, figures = min(named, key=lambda one: one[1].similarity)
    same, threshold = figures.similarity, figures.threshold(step.gate)
    below = f"{figures.similarity_name}{at} {same:.4f}, below {threshold:g}"
    verdict = "holds" if same >= threshold else below
    return _result(processor.name, processor.how, len(rows), round(same, 6), verdict)


def _result(name: str, how: str, rows: int, same: float, verdict: str) -> dict[str, Any]:
    return {"name": name, "how": how, "rows": rows, "same": same, "verdict": verdict}
