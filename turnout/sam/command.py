"""`turnout sam`: its options."""

from pathlib import Path
from typing import Annotated

import typer

from contracts.models_toml import read_models_toml
from turnout.client import STATE
from turnout.image.command import IMAGES
from turnout.terminal import CONFIG, OUT, AsJson, Config, Out, emit, log, out

TARGET = Path("sam.out")


def sam_command(
    config: Config = CONFIG,
    out_dir: Out = OUT,
    images: Annotated[
        Path, typer.Option(help="The folder of images, made by `turnout image`.")
    ] = IMAGES,
    target: Annotated[
        Path, typer.Option(help="The folder to write, in which SAM is run.")
    ] = TARGET,
    state: Annotated[
        Path, typer.Option(help="The folder of the local cloud, as `turnout up` was given.")
    ] = STATE,
    as_json: AsJson = False,
) -> None:
    """Write what AWS's SAM command line needs to run the deployed images and API on this machine.

    That is a template, the images of the router and of the CPU models, loaded into Docker or Podman without a network,
    and the environment that has the router reach the local cloud, which `turnout up --sam` runs in another terminal.
    Prints the commands that then work: `sam local invoke`, `sam local start-api` and `sam local start-lambda`.
    """
    from turnout.sam import making
    from turnout.sam.needs import Places

    places = Places(config=config, out=out_dir, images=images, state=state.resolve())
    written = making.write(read_models_toml(config), places, target, log)
    emit(as_json, written, lambda: making.show(written, out))
