"""The stages that choose what ships on a tier: candidates are timed side by side, and ranked."""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from build.evaluation.gate import gate_failed
from build.proof import ranking
from build.proof.candidate import Candidate
from build.proof.portability import first_portable
from build.proof.processors import all_unavailable
from build.proof.timing import Timing, time_all
from build.stages.candidates import graph_of
from build.stages.workspace import Workspace
from build.workspace.build_memory import room_for_all
from contracts.tasks import Runtime, Tier
from functions.inference.runtimes.threads import threads_of

# Of `Timing.slowdown`, which is less than 1.1 on an idle machine.
BUSY = 1.25


def timing_stage(work: Workspace) -> Workspace:
    """Time all candidates of a CPU tier side by side, on as many threads as a function of its memory has."""
    step = work.step
    # Times on this machine's CPU say nothing about a GPU.
    if step.tier is Tier.GPU:
        # Of one candidate, no time is compared.
        timed = (_timed_on_gpu(work, c) for c in work.candidates)
        return replace(work, candidates=tuple(timed)) if len(work.candidates) > 1 else work
    tokens = [sum(output["tokens"] for output in outputs) for outputs in work.reference]
    requests = work.family.requests(step.source, step.rows, work.reference)
    shares = ranking.length_shares(tokens, list(requests))
    folders = [candidate.folder for candidate in work.candidates]
    unranked = [tokens for tokens, share in shares.items() if not share]
    timings: list[Timing] = time_all(
        folders,
        requests,
        threads_of(step.memory_mb),
        work.notify,
        rivals=_rivals(work),
        unranked=unranked,
        apart=not room_for_all([candidate.manifest.size for candidate in work.candidates]),
    )
    return replace(
        work,
        notes=(*work.notes, *disturbance(timings, f"{step.model}/{step.tier}")),
        candidates=tuple(
            replace(c, timing=t, expected_ms=ranking.expected_ms(t, shares))
            for c, t in zip(work.candidates, timings, strict=True)
        ),
    )


def disturbance(timings: Sequence[Timing], artefact: str) -> list[str]:
    """Return a note where the machine had so much else to do that another candidate may be the fastest."""
    slowdown = statistics.median(timing.slowdown for timing in timings)
    if slowdown <= BUSY:
        return []
    return [
        "other programs used this machine while the candidates were timed: half of the runs took "
        f"{slowdown:.1f} times as long as the fastest fifth, or longer; to have them timed again when it is idle, "
        f"remove the built folder {artefact} and build"
    ]


def _rivals(work: Workspace) -> list[Path]:
    """Return the folders of the candidates that the fastest is chosen from; none for another objective.

    One of OpenVINO may be the fastest and not pay.
    """
    if work.step.objective != "latency":
        return []
    of_onnx_runtime = [c for c in work.candidates if c.recipe.runtime is Runtime.ONNX_RUNTIME]
    return [candidate.folder for candidate in of_onnx_runtime if not candidate.problems]


def _timed_on_gpu(work: Workspace, candidate: Candidate) -> Candidate:
    """Return the candidate with the time of a row that a GPU's result has for its very graph."""
    graph = graph_of(candidate.manifest)
    every = (each for one in work.step.gpu_results for each in one.precisions.values())
    found = next((each.row_ms for each in every if each.graph == graph), 0.0)
    return replace(candidate, expected_ms=found)


def choose_stage(work: Workspace) -> Workspace:
    """Choose the first by the objective that passes the gate, here and on other processors.

    Raise GateFailed with the problems of each candidate if none does.
    """
    step = work.step
    processors = work.processors
    if not step.portable:
        processors = all_unavailable(processors, "`portable` is false")
    ordered = ranking.ranked(work.candidates, step.objective)
    result = first_portable(step, ordered, work.cache, processors, work.notify)
    rejected = result.problems
    work = replace(
        work,
        chosen=result.chosen,
        processor_results=result.processors,
        notes=(*work.notes, *result.notes),
        passed_over=(
            *work.passed_over,
            *(
                {"recipe": c.recipe.name, "why": rejected[c.folder]}
                for c in ordered
                if c.folder in rejected
            ),
        ),
        candidates=tuple(
            replace(c, problems=(*c.problems, rejected[c.folder])) if c.folder in rejected else c
            for c in work.candidates
        ),
    )
    if result.chosen is None:
        found = {c.recipe.name: c.problems for c in work.candidates}
        raise gate_failed(step.name, len(step.rows), found)
    return work
