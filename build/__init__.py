"""Model folder in, sealed artefact out.

`fetch` brings sources that lie elsewhere. `plan` says what would be done and why, and writes nothing; `run` does it. An
artefact becomes visible by one rename, after the code that will serve it has shown that it answers like the original.
"""

import os
from pathlib import Path

from build import remote
from build.errors import SourceError
from build.memory import short_of
from build.plan import Step, plan
from build.progress import Progress, Silent
from contracts.specs import Deployment

__all__ = ["Progress", "Silent", "Step", "fetch", "plan", "run"]


def fetch(deployment: Deployment, out: Path) -> None:
    """Bring sources that lie elsewhere to this machine and pin them; raises SourceError."""
    for spec in deployment.models:
        for source in (spec.source, spec.gpu.source if spec.gpu else None):
            if isinstance(source, str):
                remote.fetch(source, out, pickle=spec.hints.pickle)


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
