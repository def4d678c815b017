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
    trace: Annotated[
        Path | None,
        typer.Option(
            help="Requests that came, to compare how GPU tiers could scale: the API's access log, or a published trace."
        ),
    ] = None,
    request_ms: Annotated[
        float | None,
        typer.Option(
            help="With --trace: how long a request takes of a GPU; what was measured of the function otherwise.",
            min=0.001,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what would be built and deployed, how large its images are, and what it costs. Changes nothing.

    With --trace, compare instead what each choice of instances and hours costs a GPU tier, and whom it keeps waiting.

    The cost is that of a month in which nobody calls, and of a million requests; a GPU's depends on how many come.
    What Lambda would refuse, an image of more than 10 GB or a start that takes too long, ends the command with 1.
    """
    # What it imports takes longer than most commands.
    from turnout.plan.plan import Undeployable, plan
    from turnout.plan.shown import show

    deployment = read_models_toml(config)
    found = plan(deployment, out_dir, images)
    if trace:
        from turnout.plan.traces import compare, show_comparison

        compared = compare(deployment, found.costs, trace, request_ms, out_dir)
        emit(as_json, compared.to_json(), lambda: show_comparison(compared, out))
        return
    emit(as_json, found.document, lambda: show(found, out))
    if found.problems:
        raise Undeployable(found.problems)
