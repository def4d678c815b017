"""Checks of this machine and of what it would deploy: no network, nothing changed."""

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import TurnoutError
from contracts.specs import Deployment
from images.base import TABLE, read_table
from images.engine.engine import find_engine
from images.engine.errors import EngineMissing
from images.made.record import read_record
from stacks.costs.tiers import idle_usd
from stacks.routes.table import read_artefacts
from stacks.settings import aws_problems
from turnout.deployed.stacks import images_of
from turnout.doctor.finding import Finding, Level
from turnout.keys import read_keys
from turnout.local_deployment import CDK
from turnout.sam.needs import ENGINE_SETTINGS

NODE_MAJOR = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The inputs of a deployment on this machine, and the programs that deploy it."""

    deployment: Deployment
    out: Path
    keys: Path
    images: Path
    node: str = "node"
    cdk: Path = CDK
    bases: Path = TABLE


def machine_findings(machine: Machine) -> list[Finding]:
    """Return the findings of every check; a file that one cannot read is a finding as well."""
    found: list[Finding] = []
    for check in CHECKS:
        try:
            found += check(machine)
        except TurnoutError as error:
            found.append(Finding(level=Level.FAILS, about=check.__name__, message=str(error)))
    return found


def tools(machine: Machine) -> list[Finding]:
    """Look for Node and the CDK's command line."""
    about = "CDK"
    node = shutil.which(machine.node)
    said = (
        subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
        if node
        else ""
    )
    major = re.match(r"v(\d+)", said)
    if not major or int(major[1]) < NODE_MAJOR:
        message = f"Node {NODE_MAJOR} or newer is needed, and there is {said.strip() or 'none'}"
        step = "https://nodejs.org/en/download"
        return [Finding(level=Level.FAILS, about=about, message=message, next_step=step)]
    if not machine.cdk.is_file():
        message = f"its command line is not installed at {machine.cdk}"
        return [Finding(level=Level.FAILS, about=about, message=message, next_step="make setup")]
    message = f"installed, with Node {said.strip()}"
    return [Finding(level=Level.HOLDS, about=about, message=message)]


def settings(machine: Machine) -> list[Finding]:
    """Check the region and the instance types against the tables that stacks are made by."""
    return [
        Finding(
            level=Level.FAILS,
            about="settings",
            message=f"{problem.where}: {problem.message}",
            next_step="correct models.toml",
        )
        for problem in aws_problems(machine.deployment)
    ]


def artefacts(machine: Machine) -> list[Finding]:
    """Verify every sealed byte that would be deployed."""
    found, problems = read_artefacts(machine.deployment, machine.out)
    if not problems:
        message = f"{len(found.manifests)} are built, and every sealed byte is unchanged"
        return [Finding(level=Level.HOLDS, about="artefacts", message=message)]
    return [
        Finding(
            level=Level.FAILS,
            about="artefacts",
            message=f"{problem.where}: {problem.message}" if problem.where else problem.message,
            next_step="turnout build",
        )
        for problem in problems
    ]


def keys(machine: Machine) -> list[Finding]:
    """Count the keys that the router would accept."""
    found = read_keys(machine.keys)
    if found:
        message = f"{len(found)} would be accepted: {', '.join(found)}"
        return [Finding(level=Level.HOLDS, about="keys", message=message)]
    message = f"{machine.keys} has none, so the router would refuse every request"
    step = "turnout keys add NAME"
    return [Finding(level=Level.WARNS, about="keys", message=message, next_step=step)]


def images(machine: Machine) -> list[Finding]:
    """Count the images that were pushed; all others need an engine that builds them."""
    wanted = images_of(machine.deployment)
    pushed = wanted & read_record(machine.images).pushed.keys()
    message = f"{len(pushed)} of {len(wanted)} are pushed"
    if pushed == wanted:
        return [Finding(level=Level.HOLDS, about="images", message=message)]
    try:
        engine = find_engine(ENGINE_SETTINGS)
    except EngineMissing as error:
        return [
            Finding(
                level=Level.FAILS,
                about="images",
                message=f"{message}, and {error}",
                next_step="turnout image --push REGISTRY/PREFIX, which needs no engine",
            )
        ]
    message += f"; {Path(engine.program).name} builds the others during `cdk deploy`"
    return [Finding(level=Level.HOLDS, about="images", message=message), *_moving(machine)]


def _moving(machine: Machine) -> list[Finding]:
    """Name the bases of such images that have a tag alone: a rule of synthesis lets the table's pass."""
    rows = read_table(machine.bases).values()
    tags = [row.image for row in rows if row.image and not row.digest]
    if not tags:
        return []
    message = (
        f"{' and '.join(tags)} by their tags alone, which get other images; one that was built is not built again for "
        "their security fixes"
    )
    step = "python -m scripts.renew_bases, and commit images/bases.json"
    return [Finding(level=Level.WARNS, about="base images", message=message, next_step=step)]


def cost(machine: Machine) -> list[Finding]:
    """Say what is paid while nobody calls."""
    total = sum(
        sum(idle_usd(spec, machine.deployment.region).values())
        for model in machine.deployment.models
        for spec in model.tiers.values()
    )
    if not total:
        return []
    message = f"${total:,.0f} a month while nobody calls, from the first deployment on"
    step = "turnout plan shows each tier's; turnout down ends it"
    return [Finding(level=Level.NOTE, about="cost", message=message, next_step=step)]


CHECKS: Sequence[Callable[[Machine], list[Finding]]] = (
    tools,
    settings,
    artefacts,
    keys,
    images,
    cost,
)
