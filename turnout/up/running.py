"""The local cloud with everything deployed, until Ctrl-C."""

import shlex
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from build import api
from contracts.specs import Deployment, Domain
from images.engine.engine import Engine
from local.chaos.script import Scripted
from turnout.client import Endpoint, curl
from turnout.local_deployment import DeployFailed, Laptop
from turnout.plan.domain import domain_json
from turnout.progress import steps
from turnout.sam.cloud import cloud_for_sam

Emit = Callable[[dict[str, Any], Callable[[], None]], None]


def require_built(deployment: Deployment, out: Path) -> None:
    """Raise DeployFailed if an artefact is missing or stale."""
    stale = [f"{step.model} {step.tier}" for step in api.plan(deployment, out) if not step.sealed]
    if stale:
        raise DeployFailed(f"not built, or changed since: {', '.join(stale)}; run `turnout build`")


def up(
    laptop: Laptop,
    log: Console,
    emit: Emit,
    engine: Engine | None = None,
    script: Sequence[Scripted] = (),
) -> None:
    """Start, deploy, print the endpoint, and wait for SIGINT or SIGTERM; then stop all of it.

    With an engine, functions that SAM runs in it are served as well. The faults of a script count from the deployment.
    """
    deployment = laptop.deployment
    require_built(deployment, laptop.files.out)
    try:
        with laptop:
            with steps(log, "deploying to a local cloud") as (laptop.say, laptop.detail):
                endpoint = laptop.deploy()
            with cloud_for_sam(laptop, engine) if engine else nullcontext():
                emit(describe(endpoint, deployment), lambda: show(endpoint, deployment, log))
                if script:
                    log.print("\nFaults, by the seconds from now on:")
                    laptop.cloud.chaos.begin(script)
                threading.Event().wait()  # for ever; the interrupt ends it
    except KeyboardInterrupt:
        log.print("stopped; nothing was left running")


def describe(endpoint: Endpoint, deployment: Deployment) -> dict[str, Any]:
    """Return what a program needs to call the endpoint."""
    return {
        "url": endpoint.url,
        "key": endpoint.key,
        "cacert": endpoint.ca_file,
        "docs": endpoint.url.rstrip("/") + "/docs",
        **({"stream_url": endpoint.stream_url} if endpoint.stream_url else {}),
        "domain": domain_json(deployment),
        "models": [model.name for model in deployment.models],
    }


def connected(endpoint: Endpoint, domain: Domain) -> str:
    """Return the line by which curl asks for the custom domain here, whatever leads to it elsewhere."""
    place = urlsplit(endpoint.url).netloc
    to = f"--cacert {shlex.quote(endpoint.ca_file or '')} --connect-to {domain.name}:443:{place}"
    return f"by its domain: curl {to} {domain.url}/health"


def show(endpoint: Endpoint, deployment: Deployment, log: Console) -> None:
    """Print the same for a person, with a line to paste."""
    url = endpoint.url.rstrip("/")
    log.print(f"\n[bold]up[/] at {url}   API docs: {url}/docs\n")
    if endpoint.stream_url:
        log.print(f"streams at {endpoint.stream_url}\n", soft_wrap=True)
    if deployment.domain:
        log.print(f"{connected(endpoint, deployment.domain)}\n", soft_wrap=True, markup=False)
    log.print(
        curl(endpoint, deployment.models[0].name, "where is my parcel?"),
        soft_wrap=True,
        markup=False,
    )
    log.print("\nIn another terminal: turnout call MODEL TEXT …   Ctrl-C stops everything.")
