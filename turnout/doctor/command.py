"""`turnout doctor`: its options, and what it prints."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from contracts.models_toml import read_models_toml
from turnout.doctor.finding import Finding, Level
from turnout.image.command import IMAGES
from turnout.terminal import CONFIG, KEYS, OUT, AsJson, Config, KeysFile, Out, emit, log, out

STYLES = {
    Level.HOLDS: "green",
    Level.NOTE: "cyan",
    Level.UNKNOWN: "magenta",
    Level.WARNS: "yellow",
    Level.FAILS: "bold red",
}


def doctor_command(
    config: Config = CONFIG,
    out_dir: Out = OUT,
    keys: KeysFile = KEYS,
    images: Annotated[Path, typer.Option(help="The folder of `turnout image`.")] = IMAGES,
    account: Annotated[bool, typer.Option(help="Ask AWS about the account as well.")] = True,
    as_json: AsJson = False,
) -> None:
    """Look for what would keep a deployment to AWS from succeeding. Reads, and changes nothing.

    It checks this machine, what was built, and the account: credentials, bootstrap, quotas of GPUs, functions at once,
    and stacks of this deployment that models.toml no longer has. Each finding names the command or page that mends it.
    Exits with 1 if a deployment would fail.
    """
    # What they import takes longer than most commands.
    from turnout.deployed.clients import clients_in
    from turnout.doctor.account import account_findings
    from turnout.doctor.machine import Machine, machine_findings

    deployment = read_models_toml(config)
    found = machine_findings(Machine(deployment=deployment, out=out_dir, keys=keys, images=images))
    if account:
        with log.status("asking AWS"):
            found += account_findings(deployment, out_dir, clients_in(deployment.region))
    emit(as_json, {"findings": [one.to_json() for one in found]}, lambda: show(found, out))
    if any(one.level is Level.FAILS for one in found):
        raise typer.Exit(1)


def show(found: Sequence[Finding], console: Console) -> None:
    """Print a line for each finding, and below it what mends it."""
    for one in found:
        line = Text.assemble((f"{one.level:<8}", STYLES[one.level]), f"{one.about}: {one.message}")
        console.print(line, soft_wrap=True)
        if one.next_step:
            console.print(Text(f"        → {one.next_step}", style="dim"), soft_wrap=True)
    failed = sum(one.level is Level.FAILS for one in found)
    console.print(f"\n{failed} of {len(found)} findings would stop a deployment" if failed else "")
