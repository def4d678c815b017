"""Whether a candidate holds on other processors: asked there, and compared with what it answered here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from build.attempt import digest_of_parts
from build.cache import Cache
from build.choose import Candidate
from build.gate import measure
from build.plan import Step
from build.processors import INSTALL, Processor, ask_on, native, sample
from build.quantize import Recipe


def risky(recipe: Recipe) -> bool:
    """Whether 16-bit sums may saturate where there is no VNNI: products of weights that use all of their 8 bits."""
    return recipe.given or (recipe.products and not recipe.reduce_range)


def check(
    step: Step, candidate: Candidate, cache: Cache, processor: Processor | None
) -> tuple[list[str], list[dict[str, Any]]]:
    """What is wrong with the candidate on other processors, and what was seen on each."""
    seen: list[dict[str, Any]] = [
        {
            "name": native(),
            "how": "this machine",
            "rows": len(step.rows),
            "same": 1.0,
            "verdict": "measured here",
        }
    ]
    if candidate.recipe.precision == "fp32":
        return [], seen
    if processor is None:
        seen.append(
            {
                "name": "x86-64 with AVX2, without VNNI and AVX-512",
                "how": f"not emulated: {INSTALL} lets it be",
                "rows": 0,
                "same": 0.0,
                "verdict": "not checked",
            }
        )
        wrong = f"not checked on processors without VNNI, where its sums may saturate; {INSTALL}"
        unasked = candidate.recipe.given and not step.portable
        return ([wrong] if risky(candidate.recipe) and not unasked else []), seen
    found = _compare(step, candidate, cache, processor)
    seen.append(found)
    if found["verdict"] == "holds":
        return [], seen
    return [f"on {processor.name}: {found['verdict']}"], seen


def _compare(
    step: Step, candidate: Candidate, cache: Cache, processor: Processor
) -> dict[str, Any]:
    rows = sample(step.rows)
    here = sample(candidate.outputs)
    there = cache.value(
        lambda: ask_on(processor, candidate.folder, rows, here),
        "elsewhere",
        parts=digest_of_parts(candidate.manifest),
        how=processor.how,
        rows=step.rows_digest,
        toolchain=dict(candidate.manifest.toolchain),
    )
    figures = measure(step.task, there, here, rows)
    same, least = figures.nearness, figures.least(step.gate)
    verdict = "holds" if same >= least else f"{figures.what} {same:.4f}, below {least:g}"
    return {
        "name": processor.name,
        "how": processor.how,
        "rows": len(rows),
        "same": round(same, 6),
        "verdict": verdict,
    }


def first_that_holds(
    step: Step, ordered: Sequence[Candidate], cache: Cache, processor: Processor | None
) -> tuple[Candidate | None, Mapping[Path, list[str]], list[dict[str, Any]]]:
    """The first candidate that holds everywhere, what was wrong with those before it, and what was seen of it."""
    wrong: dict[Path, list[str]] = {}
    for candidate in ordered:
        failures, seen = check(step, candidate, cache, processor)
        if not failures:
            return candidate, wrong, seen
        wrong[candidate.folder] = failures
    return None, wrong, []
