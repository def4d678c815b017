"""`turnout run`: its options, and what it prints."""

import threading
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from contracts.limits import LAMBDA_MEMORY_MB
from contracts.models_toml import read_models_toml
from images.running.choice import Choice
from turnout.image.command import IMAGES
from turnout.run.running import Running, Wanted, record_starts, running
from turnout.terminal import CONFIG, AsJson, Config, emit, log

# Enough for the ten requests at once that a new account may send.
MAX_COPIES = 10


def run_command(
    model: Annotated[
        str, typer.Argument(help="The model's name, as in models.toml; `router` for the router.")
    ],
    config: Config = CONFIG,
    images: Annotated[Path, typer.Option(help="The folder of images that were made.")] = IMAGES,
    copies: Annotated[
        int,
        typer.Option(
            help="Execution environments, each of which answers one request at a time.",
            min=1,
            max=MAX_COPIES,
        ),
    ] = 1,
    memory: Annotated[
        int | None,
        typer.Option(
            help="Memory in MB, which also says how much of the processors; by default that of models.toml.",
            min=LAMBDA_MEMORY_MB[0],
            max=LAMBDA_MEMORY_MB[1],
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(help="Port on loopback; 0 takes a free one.", min=0, max=65535)
    ] = 0,
    isolation: Annotated[
        Choice,
        typer.Option(
            help="What isolates it: an engine if one answers and else the kernel, or one."
        ),
    ] = Choice.AUTO,
    as_json: AsJson = False,
) -> None:
    """Run the function of an image that `turnout image` made, as Lambda runs it, until Ctrl-C.

    AWS's Runtime Interface Emulator starts the image's own entry point: read-only but for /tmp, as an unprivileged
    user, with the memory and the share of processors that the function has on Lambda. Podman or Docker isolates it,
    which CDK_DOCKER may name, and else the kernel: control groups and namespaces for root, a user namespace for others.
    The time that INIT took is recorded beside the images, for `turnout plan`.
    """
    from turnout.image.making import WORK

    wanted = Wanted(
        deployment=read_models_toml(config),
        model=model,
        images=images,
        work=WORK,
        copies=copies,
        memory_mb=memory or 0,
        port=port,
        isolation=isolation,
    )
    try:
        with running(wanted, log) as one:
            record_starts(one, images)
            emit(as_json, one.describe(), partial(show, one, log))
            threading.Event().wait()  # for ever; the interrupt ends it
    except KeyboardInterrupt:
        log.print("stopped; nothing was left running")


def show(one: Running, console: Console) -> None:
    """Print where a function answers, with a line to paste."""
    times = ", ".join(f"{ms:.0f} ms" for ms in one.init_ms)
    share = f"{one.limits.memory_mb} MB, {one.limits.cpus:.2f} vCPU"
    line = f"{one.name} runs at {one.url} ({one.isolation}, {share}); INIT {times}"
    console.print(f"\n{line}\n", soft_wrap=True, markup=False)
    console.print(
        f'curl {one.url} -d \'{{"inputs": ["where is my parcel?"]}}\'',
        soft_wrap=True,
        markup=False,
    )
    console.print("\nCtrl-C stops everything.")
