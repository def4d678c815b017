"""`turnout up`: its options."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from contracts.models_toml import read_models_toml
from images.running.choice import Choice, Isolating
from turnout.client import STATE
from turnout.image.command import IMAGES
from turnout.terminal import CONFIG, OUT, AsJson, Config, Out, emit, log


def up_command(
    config: Config = CONFIG,
    out_dir: Out = OUT,
    port: Annotated[
        int, typer.Option(help="HTTPS port on loopback; 0 takes a free one.", min=0, max=65535)
    ] = 0,
    state: Annotated[
        Path, typer.Option(help="The local cloud's own folder; one for each that runs.")
    ] = STATE,
    sam: Annotated[
        bool,
        typer.Option(
            "--sam",
            help="Serve the functions that SAM runs in containers as well: see `turnout sam`.",
        ),
    ] = False,
    images: Annotated[
        bool,
        typer.Option(
            "--images",
            help="Run the functions in the images that `turnout image` made, as Lambda runs them.",
        ),
    ] = False,
    images_from: Annotated[
        Path, typer.Option(help="The folder of those images.", metavar="FOLDER")
    ] = IMAGES,
    isolation: Annotated[
        Choice,
        typer.Option(
            help="What isolates the images: an engine if one answers and else the kernel, or one."
        ),
    ] = Choice.AUTO,
    gpus: Annotated[
        int | None,
        typer.Option(
            help="The account's quota for each GPU instance type, 0 in new ones; without it there is none.",
            min=0,
        ),
    ] = None,
    chaos: Annotated[
        Path | None,
        typer.Option(
            help="Have tiers and services fail as a TOML file says: a [[fault]] has a `target` (MODEL/cpu, "
            "MODEL/gpu, lambda, sagemaker, dynamodb or ssm), a `kind` (asleep, error, throttle, slow, crash, hang, "
            "close or cut), and when, in seconds from the deployment on: `from_s`, `until_s`. "
            "docs/local-cloud.md has all keys and an example.",
            metavar="FILE",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the whole product on this machine: a local cloud, the real `cdk deploy`, an HTTPS endpoint.

    Runs until Ctrl-C and leaves nothing running. `turnout call` in the same folder finds it by itself. With --sam it
    listens for containers as well: at this machine's address in the network of Docker or Podman, and nowhere else. With
    --images, the functions run from made images, read-only, as an unprivileged user and with their memory and share of
    processors; each copy that starts or ends is printed. With --chaos, tiers and services fail in AWS's own words, and
    each fault that begins or ends is printed.
    """
    from images.engine.engine import bridge_of, find_engine
    from local.chaos.script import read_script
    from turnout.image.making import WORK
    from turnout.local_deployment import Files, Laptop, MadeImages
    from turnout.sam.needs import ENGINE_SETTINGS
    from turnout.up.running import up

    engine = find_engine(ENGINE_SETTINGS) if sam else None
    deployment = read_models_toml(config)
    script = read_script(chaos, deployment) if chaos else ()
    isolating = Isolating(work=WORK, choice=isolation)
    laptop = Laptop(
        deployment,
        Files(config=config, out=out_dir),
        state=state,
        https_port=port,
        bridge=bridge_of(engine) if engine else None,
        made=MadeImages(folder=images_from, isolating=isolating) if images else None,
        gpus=gpus,
    )
    up(laptop, log, partial(emit, as_json), engine, script)
