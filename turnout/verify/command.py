"""`turnout verify`: its options, and what it prints."""

from pathlib import Path
from typing import Annotated

import typer

from contracts.models_toml import read_models_toml
from contracts.tasks import Tier
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


def verify_command(
    models: Annotated[
        list[str] | None, typer.Argument(help="Models to verify; all that are built by default.")
    ] = None,
    trust: Annotated[
        list[Path] | None,
        typer.Option(
            help="A public key or a certificate, as PEM; each artefact has to be signed by one of them."
        ),
    ] = None,
    vouched_by: Annotated[
        list[Path] | None,
        typer.Option(
            help="A public key, as PEM, by which somebody has to have vouched for each artefact."
        ),
    ] = None,
    tier: Annotated[
        Tier | None,
        typer.Option(
            help="With gpu and one model: have its deployed endpoint answer the rows of `eval`, and record that."
        ),
    ] = None,
    at_least: Annotated[
        float,
        typer.Option(
            help="With --tier gpu: the share of rows that has to be answered as they say.",
            min=0,
            max=1,
        ),
    ] = 0.0,
    concurrency: Concurrency = 4,
    url: Url = None,
    key: Key = None,
    ca_file: CaFile = None,
    config: Config = CONFIG,
    out_dir: Out = OUT,
    as_json: AsJson = False,
) -> None:
    """Check every sealed byte, and that the artefacts answer as they did when they were built.

    The code that serves an artefact runs its golden rows again. With --trust, the signature is verified first, and an
    artefact that is not signed by such a key is not run. With --vouched-by, the statement of that key has to be about
    the same bytes, rows and figures. Exits with 1 if something differs.

    With --tier gpu, weights that `turnout push` sent are verified where they run: at the endpoint of --url and --key,
    or of the local cloud. What holds is deployed as proved by the next deployment.
    """
    if tier is Tier.GPU:
        _verify_endpoint(
            models or [], at_least, concurrency, (url, key, ca_file), config, out_dir, as_json
        )
        return
    from turnout.verify import verifying

    found = verifying.verify(out_dir, models or None, log, trust or (), vouched_by or ())
    emit(as_json, found, lambda: verifying.show(found, out))
    if not found["holds"]:
        raise typer.Exit(1)


def _verify_endpoint(
    models: list[str],
    at_least: float,
    concurrency: int,
    named: tuple[str | None, str | None, str | None],
    config: Path,
    out_dir: Path,
    as_json: bool,
) -> None:
    """Verify one model where it is deployed."""
    from turnout.calling import call
    from turnout.fronts import find_front
    from turnout.verify import endpoint
    from turnout.verify.record import show

    if len(models) != 1:
        raise typer.BadParameter("--tier gpu verifies one model; name it")
    of = endpoint.wanted(read_models_toml(config), models[0], out_dir, at_least, concurrency)
    to = find_front(models[0], *named)
    record = endpoint.verify_endpoint(of, lambda body: call(to, models[0], body), out_dir, log)
    emit(as_json, record, lambda: show(record, out))
    if not record["holds"]:
        raise typer.Exit(1)
