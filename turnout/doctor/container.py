"""AWS's container of vLLM: whether models were pushed for one image of it, and whether its tag has another by now."""

from pathlib import Path

from contracts.specs import Deployment
from contracts.tasks import Tier
from stacks.weights.container import Container, container_of
from turnout.deployed.clients import Clients
from turnout.doctor.finding import Finding, Level
from turnout.plan.latency import read_artefact
from turnout.push.container import container_in


def container_findings(deployment: Deployment, out: Path, clients: Clients) -> list[Finding]:
    """Return a finding for each model that was pushed."""
    folders = {one.name: out / one.name / Tier.GPU for one in deployment.models if one.gpu}
    artefacts = {name: read_artefact(folder) for name, folder in folders.items()}
    pushed = {name: one for name, one in artefacts.items() if one and one.pushed}
    if not pushed:
        return []
    now, why = container_in(deployment.region, clients("ecr"))
    return [_finding(name, container_of(one), now, why) for name, one in pushed.items()]


def _finding(model: str, sealed: Container | None, now: Container, why: str) -> Finding:
    about, step = f"{model}'s container", f"turnout push {model}"
    if sealed is None or not sealed.digest:
        message = (
            f"{now.tag} by its tag alone, which AWS may give to another image than was verified"
        )
        return Finding(level=Level.WARNS, about=about, message=message, next_step=step)
    if not now.digest:
        return Finding(level=Level.UNKNOWN, about=about, message=f"{now.tag}: {why}")
    if sealed == now:
        message = f"{sealed.tag} is {sealed.digest}, as when it was pushed"
        return Finding(level=Level.HOLDS, about=about, message=message)
    message = f"AWS has {now.tag} as {now.digest} by now; {model} goes on with {sealed.digest}"
    step = f"{step} takes the new one, and has to be verified again"
    return Finding(level=Level.NOTE, about=about, message=message, next_step=step)
