"""`turnout sign` and `turnout vouch`: their options, and what they print."""

from pathlib import Path
from typing import Annotated

import typer

from turnout.terminal import CONFIG, OUT, AsJson, Config, Out, emit, log, out

Key = Annotated[
    Path, typer.Option(help="The private key, as PEM, on the curve P-256, P-384 or P-521.")
]


def sign_command(
    key: Key,
    models: Annotated[
        list[str] | None, typer.Argument(help="Models to sign; all that are built by default.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="The key's certificate, to sign by it instead of the key.")
    ] = None,
    chain: Annotated[
        list[Path] | None,
        typer.Option(help="Certificates of the authorities above it, the highest last."),
    ] = None,
    source: Annotated[
        bool, typer.Option("--source", help="Sign the models' sources instead of the artefacts.")
    ] = False,
    config: Config = CONFIG,
    out_dir: Out = OUT,
    as_json: AsJson = False,
) -> None:
    """Sign artefacts in the OpenSSF Model Signing format: every file that is served, by name and digest.

    The signature lies beside the artefact, in signatures/, so no byte and no version of it changes. With --source, the
    models' sources are signed, as somebody has looked at them; that signature lies beside each as NAME.sig.
    """
    from contracts.models_toml import read_models_toml
    from signatures.signing import Signer
    from turnout.signing import making

    signer = Signer(key=key, certificate=certificate, chain=tuple(chain or ()))
    if source:
        made = making.sign_sources(read_models_toml(config), out_dir, models or (), signer)
    else:
        made = making.sign_artefacts(out_dir, models or None, signer)
    emit(as_json, made, lambda: making.show(made, out))


def vouch_command(
    key: Key,
    models: Annotated[
        list[str] | None, typer.Argument(help="Models to vouch for; all that are built by default.")
    ] = None,
    out_dir: Out = OUT,
    as_json: AsJson = False,
) -> None:
    """Run the golden rows of artefacts again, and sign the outcome: an in-toto test result, beside the signature.

    Anyone who has an artefact and its golden rows can vouch for it by a key of their own; nothing of who released it is
    touched. `turnout verify --vouched-by` compares the statement with what it finds.
    """
    from turnout.signing import vouching

    made = vouching.vouch(out_dir, models or None, key, log)
    emit(as_json, made, lambda: vouching.show(made, out))
