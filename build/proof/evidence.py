"""The evidence of a build: its measurements, which differ between runs and so are not sealed with the artefact."""

import resource
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from build.evaluation.bootstrap import SEED
from build.evaluation.comparison import figures_of
from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.export.fusion import fused_operators
from build.proof.candidate import Candidate
from build.proof.changed_answers import changed_rows, labels_in_rows, per_class
from build.proof.processors import processor_name
from build.proof.ranking import pareto
from build.samples.facts import only_sample_rows
from build.sources.source import GgufSource
from build.step import Step
from contracts.manifest import MODEL


def provenance(
    step: Step, chosen: Candidate, processors: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the origin and the proof of an artefact: sealed, so equal for equal inputs on the same processor."""
    source = step.source
    # Times, dates and file paths are left out: they would change the digest from one build to the next.
    return {
        "kind": source.kind,
        "origin": step.origin,
        "licence": source.licence,
        "rows": len(step.rows),
        "rows_digest": step.rows_digest,
        **({"sample": True} if only_sample_rows(source, step.rows) else {}),
        "gate": figures_of(chosen.figures),
        **_shorter(chosen),
        "objective": step.objective,
        "machine": processor_name(),
        "processors": list(processors),
        "seeds": {"bootstrap": SEED},
    }


def evidence(
    step: Step,
    chosen: Candidate,
    candidates: Sequence[Candidate],
    reference: Sequence[Outputs],
    seconds: Mapping[str, float],
    processors: Sequence[Mapping[str, Any]] = (),
    passed_over: Sequence[Mapping[str, Any]] = (),
    unit: str = "row",
    notes: Sequence[str] = (),
    reading: Mapping[str, Any] | None = None,
    uninformative: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the figures of one artefact and of all candidates beside it, with the machine and the date.

    `passed_over` are recipes ranked before the one that ships, with the problem on another processor that ruled each
    out; `unit` is the unit of its times, a row or a token; `notes` are for the user: checks that could not be
    made, and times that other programs disturbed.
    `reading` is the check of a candidate in full precision with the model's own library.
    `uninformative` is why the rows compare nothing, where a build goes on all the same.
    """
    manifest = chosen.manifest
    return {
        "model": manifest.model,
        "tier": manifest.tier,
        "version": manifest.version,
        "digest": manifest.digest,
        "task": manifest.task,
        "precision": manifest.precision,
        "recipe": manifest.recipe,
        "objective": step.objective,
        "source": step.source.kind,
        "stored": step.source.stored if isinstance(step.source, GgufSource) else "",
        "licence": step.source.licence,
        "rows": len(step.rows),
        "sample": only_sample_rows(step.source, step.rows),
        **figures_of(chosen.figures),
        **_shorter(chosen),
        "fused": _fused(chosen.folder / MODEL),
        "bytes_original": step.source.weight_bytes,
        "bytes_built": manifest.size,
        "expected_ms": chosen.expected_ms,
        "unit": unit,
        "chars_per_token": _chars_per_token(step.rows, chosen.outputs),
        "candidates": [
            _candidate(c, best, chosen)
            for c, best in zip(candidates, pareto(candidates), strict=True)
        ],
        "processors": list(processors),
        "passed_over": list(passed_over),
        "notes": list(notes),
        "reading": dict(reading or {}),
        "uninformative": list(uninformative),
        **labels_in_rows(step, reference),
        "per_class": per_class(step, reference, chosen.outputs),
        "flips": changed_rows(step, reference, chosen.outputs),
        "seconds": dict(seconds),
        # Linux reports kibibytes.
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        # Times mean little without the machine and the day that they were taken on.
        "machine": processor_name(),
        "date": datetime.now(UTC).date().isoformat(),
        "toolchain": dict(manifest.toolchain),
    }


def _chars_per_token(rows: Sequence[Row], outputs: Sequence[Outputs]) -> float:
    """Return the characters of the rows over their tokens, without those that were truncated; 0 if all were."""
    whole = [
        (row.request.chars, sum(output.get("tokens", 0) for output in own))
        for row, own in zip(rows, outputs, strict=True)
        if not any(output.get("truncated") for output in own)
    ]
    tokens = sum(count for _, count in whole)
    return round(sum(chars for chars, _ in whole) / tokens, 4) if tokens else 0.0


def _shorter(chosen: Candidate) -> dict[str, Any]:
    """Return the figures by the fewer dimensions that vectors may be cut to."""
    figures = {str(number): figures_of(one) for number, one in chosen.shorter.items()}
    return {"shorter": figures} if figures else {}


def _fused(graph: Path) -> str:
    return fused_operators(graph) if graph.is_file() else ""


def _candidate(candidate: Candidate, best: bool, chosen: Candidate) -> dict[str, Any]:
    return {
        "recipe": candidate.recipe.name,
        "precision": candidate.manifest.precision,
        **figures_of(candidate.figures),
        "failures": list(candidate.problems),
        "bytes": candidate.manifest.size,
        "expected_ms": candidate.expected_ms,
        "ms": {str(tokens): ms for tokens, ms in candidate.timing.ms.items()},
        "load_ms": candidate.timing.load_ms,
        "peak_mb": candidate.timing.peak_mb,
        "pareto": best,
        "chosen": candidate.recipe.name == chosen.recipe.name,
    }
