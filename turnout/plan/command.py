"""`turnout plan`: its options."""

from pathlib import Path
from typing import Annotated

import typer

from contracts.models_toml import read_models_toml
from turnout.image.command import IMAGES
from turnout.terminal import CONFIG, OUT, AsJson, Config, Out, emit, out


def plan_command(
    config: Config = CONFIG,
    out_dir: Out = OUT,
    images: Annotated[Path, typer.Option(help="The folder of `turnout image`.")] = IMAGES,
    as_json: AsJson = False,
) -> None:
    """Print what would be built and deployed, how large its images are, and what it costs. Changes nothing.

    The cost is that of a month in which nobody calls, and of a million requests; a GPU's depends on how many come.
    What Lambda would refuse, an image of more than 10 GB or a start that takes too long, ends the command with 1.
    """
    # What it imports takes longer than most commands.
    from turnout.plan.plan import Undeployable, plan
    from turnout.plan.shown import show

    found = plan(read_models_toml(config), out_dir, images)
    emit(as_json, found.document, lambda: show(found, out))
    if found.problems:
        raise Undeployable(found.problems)
