"""Model folder in, sealed artefact out.

`fetch` brings sources that lie elsewhere. `plan` says what would be done and why, and writes nothing; `run` does it. An
artefact becomes visible by one rename, after the code that will serve it has shown that it answers like the original.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from build.errors import SourceError
from build.plan import plan
from build.sources import remote
from build.sources.remote import NOT_FETCHED
from build.step import Step
from build.workspace.memory import short_of
from build.workspace.progress import Progress, Silent
from contracts.specs import Deployment, ModelSpec

__all__ = ["Progress", "Silent", "Step", "fetch", "plan", "run"]


def fetch(deployment: Deployment, out: Path, models: Sequence[str] | None = None) -> None:
    """Bring sources that lie elsewhere to this machine and pin them, those of the models named or of all.

    Raises SourceError with all that is wrong with them, and all that `plan` finds wrong besides.
    """
    wanted = [spec for spec in deployment.models if not models or spec.name in models]
    mistakes = list(dict.fromkeys(mistake for spec in wanted for mistake in _fetched(spec, out)))
    if not mistakes:
        return
    try:
        plan(deployment, out, models)
    except SourceError as error:
        known = {
            *mistakes,
            *(f"{spec.name}: {s}: {NOT_FETCHED}" for spec in wanted for s in _elsewhere(spec)),
        }
        mistakes += [mistake for mistake in error.mistakes if mistake not in known]
    raise SourceError(mistakes)


def _fetched(spec: ModelSpec, out: Path) -> list[str]:
    """Bring what a model is made from, and tell what is wrong with that."""
    mistakes: list[str] = []
    for source in _elsewhere(spec):
        try:
            remote.fetch(source, out, pickle=spec.hints.pickle)
        except SourceError as error:
            mistakes += [f"{spec.name}: {mistake}" for mistake in error.mistakes]
    return mistakes


def _elsewhere(spec: ModelSpec) -> list[str]:
    sources = (spec.source, spec.gpu.source if spec.gpu else None)
    return list(dict.fromkeys(source for source in sources if isinstance(source, str)))


def run(steps: tuple[Step, ...], out: Path, progress: Progress | None = None) -> None:
    """Build every step that is not current; raises BuildError. Imports torch, so it takes its seconds."""
    if all(step.current for step in steps):
        return
    todo = [step for step in steps if not (step.current or step.sealed)]
    if short := [f"{step.name}: {why}" for step in todo if (why := short_of(step.source.weights))]:
        raise SourceError(short)
    # Threads that wait without spinning leave the machine to the others on it; read once, when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    from build.pipeline import build_all

    build_all(steps, out, progress or Silent())
