"""Whether a candidate holds on other processors: asked there, and compared with what it answered here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from build.evaluation.gate import measure
from build.proof.candidate import digest_of_parts
from build.proof.choose import Candidate
from build.proof.emulation import run_under, sample, sample_size, truncated
from build.proof.processors import Processor, native
from build.recipes.recipe import GIVEN, Recipe
from build.step import Step
from build.workspace.cache import Cache
from build.workspace.progress import Notify, silent

NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The first candidate that holds wherever it may be deployed, and what was seen of it on each processor.

    `wrong` is what was the matter with those that came before it, by their folders: the build falls back past them.
    """

    chosen: Candidate | None = None
    seen: tuple[dict[str, Any], ...] = ()
    wrong: Mapping[Path, str] = field(default_factory=dict)


def first_portable(
    step: Step,
    ordered: Sequence[Candidate],
    cache: Cache,
    processors: Sequence[Processor],
    notify: Notify = silent,
) -> Found:
    wrong: dict[Path, str] = {}
    for candidate in ordered:
        failure, seen = check(step, candidate, cache, processors, notify)
        if not failure:
            return Found(chosen=candidate, seen=tuple(seen), wrong=wrong)
        wrong[candidate.folder] = failure
    return Found(wrong=wrong)


def check(
    step: Step,
    candidate: Candidate,
    cache: Cache,
    processors: Sequence[Processor],
    notify: Notify = silent,
) -> tuple[str, list[dict[str, Any]]]:
    """What is wrong with the candidate on a processor that decides, and what was seen on each.

    Full precision is not asked: it has no sums that could saturate. After the first failure no other is asked.
    """
    here = _entry(native(), "this machine", len(step.rows), 1.0, "measured here")
    seen = [here]
    if candidate.recipe.precision == "fp32":
        return "", seen
    for processor in processors:
        entry = _see(step, candidate, cache, processor, notify)
        seen.append(entry)
        failure = _failure(step, candidate.recipe, processor, entry["verdict"])
        if failure:
            return failure, seen
    return "", seen


def _failure(step: Step, recipe: Recipe, processor: Processor, verdict: str) -> str:
    """Why what was seen there keeps the candidate from being shipped; empty where it does not."""
    if not processor.decides or verdict == "holds":
        return ""
    if verdict != NOT_CHECKED:
        return f"on {processor.name}: {verdict}"
    if not recipe.may_saturate or (recipe == GIVEN and not step.portable):
        return ""
    return f"not checked on {processor.name}, where its sums may saturate: {processor.lacking}"


def _see(
    step: Step, candidate: Candidate, cache: Cache, processor: Processor, notify: Notify
) -> dict[str, Any]:
    if processor.lacking:
        return _entry(processor.name, f"not asked: {processor.lacking}", 0, 0.0, NOT_CHECKED)
    size = sample_size(processor, candidate.manifest.size, step.rows, candidate.outputs)
    rows = sample(step.rows, size)
    here = [truncated(outputs) for outputs in sample(candidate.outputs, size)]
    notify(f"{candidate.recipe.name} under {processor.how}")
    there = cache.value(
        lambda: run_under(processor, candidate.folder, rows, here, notify),
        "elsewhere",
        parts=digest_of_parts(candidate.manifest),
        how=processor.how,
        asked=len(rows),
        rows=step.rows_digest,
        toolchain=dict(candidate.manifest.toolchain),
    )
    figures = measure(step.task, there, here, rows)
    same, least = figures.nearness, figures.least(step.gate)
    verdict = "holds" if same >= least else f"{figures.what} {same:.4f}, below {least:g}"
    return _entry(processor.name, processor.how, len(rows), round(same, 6), verdict)


def _entry(name: str, how: str, rows: int, same: float, verdict: str) -> dict[str, Any]:
    return {"name": name, "how": how, "rows": rows, "same": same, "verdict": verdict}
