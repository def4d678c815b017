"""Model folder in, sealed artefact out.

`fetch` downloads remote sources. `plan` returns what would be done and why, and writes nothing; `run` does it. An
artefact becomes visible when its finished folder is renamed into place, after the code that serves it has shown that it
answers like the reference; its evidence and the page made of it follow.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from build.errors import SourceError
from build.plan import plan
from build.proof.processors import Processor, processors_to_check
from build.sources import remote
from build.sources.remote import not_fetched
from build.step import Step
from build.workspace.build_memory import memory_problem
from build.workspace.progress import Progress, hidden
from contracts.problems import Code, Problem
from contracts.specs import Deployment, ModelSpec

__all__ = ["Progress", "Step", "fetch", "plan", "run"]


def fetch(deployment: Deployment, out: Path, models: Sequence[str] | None = None) -> None:
    """Download and pin the remote sources of the named models, or of all.

    Raise SourceError with every problem of these, and with those that `plan` finds in the rest, so that a user mends
    all of them before the next try.
    """
    wanted = [spec for spec in deployment.models if not models or spec.name in models]
    problems = list(dict.fromkeys(problem for spec in wanted for problem in _fetch(spec, out)))
    if not problems:
        return
    try:
        plan(deployment, out, models)
    except SourceError as error:
        # To the plan, what could not be fetched is only not fetched yet, which says less.
        known = {
            *problems,
            *(not_fetched(s).within(spec.name) for spec in wanted for s in _remote_sources(spec)),
        }
        problems += [problem for problem in error.problems if problem not in known]
    raise SourceError(problems)


def _fetch(spec: ModelSpec, out: Path) -> list[Problem]:
    """Download the remote sources of one model; return their problems."""
    problems: list[Problem] = []
    for source in _remote_sources(spec):
        try:
            remote.fetch(source, out, pickle=spec.source_options.allow_pickle)
        except SourceError as error:
            problems += [problem.within(spec.name) for problem in error.problems]
    return problems


def _remote_sources(spec: ModelSpec) -> list[str]:
    sources = (spec.source, spec.gpu.source if spec.gpu else None)
    return list(dict.fromkeys(source for source in sources if isinstance(source, str)))


def run(
    steps: tuple[Step, ...],
    out: Path,
    progress: Progress = hidden,
    *,
    processors: tuple[Processor, ...] | None = None,
    timed: bool = True,
) -> None:
    """Build every step that is not current; raise BuildError. Importing torch takes some seconds.

    Candidates are checked on the `processors`, by default on all that a tier may be deployed to. Without
    `timed`, they are not timed, and count as equally fast.
    """
    if all(step.current for step in steps):
        return
    todo = [step for step in steps if not (step.current or step.sealed)]
    short = [
        Problem(code=Code.MEMORY_SHORT, where=step.name, message=why)
        for step in todo
        if (why := memory_problem(step.source.weights))
    ]
    if short:
        raise SourceError(short)
    # Threads that wait without spinning leave the machine to the others on it; read once, when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    from build.pipeline import build_all

    build_all(
        steps,
        out,
        progress,
        processors_to_check() if processors is None else processors,
        timed=timed,
    )
