"""`turnout calibrate`: its options, and what it prints."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.models_toml import read_models_toml
from turnout.terminal import (
    CONFIG,
    OUT,
    AsJson,
    CaFile,
    Concurrency,
    Config,
    Key,
    Out,
    Url,
    emit,
    log,
    out,
)

if TYPE_CHECKING:
    from turnout.client import Reply


def calibrate_command(
    model: Annotated[str, typer.Argument(help="The model's name, as in models.toml.")],
    rows: Annotated[
        Path,
        typer.Option(
            help="Labelled rows in the form of `eval` that neither the models nor the gate have seen."
        ),
    ],
    max_loss: Annotated[
        float,
        typer.Option(
            help="The largest share of inputs that may be lost: kept, wrong, and right on the GPU tier.",
            min=0.0001,
            max=0.5,
        ),
    ] = 0.01,
    assurance: Annotated[
        float, typer.Option(help="The probability that the bound holds.", min=0.5, max=0.9999)
    ] = 0.95,
    training: Annotated[
        list[Path] | None,
        typer.Option(
            help="Rows that a model was trained on, to refuse those of them among --rows."
        ),
    ] = None,
    allow_seen: Annotated[
        bool,
        typer.Option(
            "--allow-seen",
            help="Use rows that were seen as well; the bound is marked as not valid.",
        ),
    ] = False,
    concurrency: Concurrency = 4,
    url: Url = None,
    key: Key = None,
    ca_file: CaFile = None,
    config: Config = CONFIG,
    out_dir: Out = OUT,
    as_json: AsJson = False,
) -> None:
    """Choose the confidence from which the CPU tier's answer is kept, with a bound on what that loses.

    Both artefacts run on the rows; weights that `turnout push` sent are asked where they are deployed, at --url or in
    the local cloud. Half of the rows fit the grid of thresholds, the other half tests it: with the
    probability --assurance at most --max-loss of inputs like these are kept although the CPU tier is wrong and the GPU
    tier right. The result is sealed beside the artefacts and holds for these two alone.
    """
    from turnout.calibrate import calibrating
    from turnout.calling import call
    from turnout.fronts import find_front

    deployment = read_models_toml(config)
    asked = calibrating.Asked(
        rows=rows,
        max_loss=max_loss,
        assurance=assurance,
        training=tuple(training or ()),
        allow_seen=allow_seen,
    )

    def find() -> "Callable[[dict[str, Any]], Reply]":
        to = find_front(model, url, key, ca_file)
        return lambda body: call(to, model, body)

    found = calibrating.calibrated(deployment, model, out_dir, asked, log, find, concurrency)
    emit(as_json, found, lambda: calibrating.show(found, out))
