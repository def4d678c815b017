"""`turnout verify`: its options, and what it prints."""

from pathlib import Path
from typing import Annotated

import typer

from turnout.terminal import OUT, AsJson, Out, emit, log, out


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
    out_dir: Out = OUT,
    as_json: AsJson = False,
) -> None:
    """Check every sealed byte, and that the artefacts answer as they did when they were built.

    The code that serves an artefact runs its golden rows again. With --trust, the signature is verified first, and an
    artefact that is not signed by such a key is not run. With --vouched-by, the statement of that key has to be about
    the same bytes, rows and figures. Exits with 1 if something differs.
    """
    from turnout.verify import verifying

    found = verifying.verify(out_dir, models or None, log, trust or (), vouched_by or ())
    emit(as_json, found, lambda: verifying.show(found, out))
    if not found["holds"]:
        raise typer.Exit(1)
