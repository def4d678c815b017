"""`turnout image`: its options, and what it prints."""

from pathlib import Path
from typing import Annotated

import typer

from contracts.models_toml import read_models_toml
from turnout.keys import read_keys
from turnout.terminal import CONFIG, KEYS, OUT, AsJson, Config, KeysFile, Out, emit, log, out

IMAGES = Path("images.out")


def image_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Images to make, by the names of their stacks; all when none is named."
        ),
    ] = None,
    config: Config = CONFIG,
    out_dir: Out = OUT,
    keys: KeysFile = KEYS,
    target: Annotated[
        Path, typer.Option(help="The folder of images, one OCI layout below it for each.")
    ] = IMAGES,
    base: Annotated[
        str,
        typer.Option(
            help="Make all of them on this base: aws-lambda, python-slim or debian. By default functions are on the "
            "first and GPU containers on the second."
        ),
    ] = "",
    push: Annotated[
        str,
        typer.Option(
            help="Push them to this registry, as repositories below the prefix: REGISTRY/PREFIX.",
            metavar="REGISTRY/PREFIX",
        ),
    ] = "",
    slim: Annotated[
        bool,
        typer.Option(
            "--slim/--no-slim",
            help="Leave out of CPU images what no request opens, after a proof that each answers as a whole one.",
        ),
    ] = True,
    cuda: Annotated[
        bool,
        typer.Option(
            "--cuda/--without-cuda",
            help="Without: the images of GPU tiers alone, with a processor's packages in place of CUDA's, to try the "
            "container on a machine without a GPU. Their names end in -without-cuda; they are never pushed.",
        ),
    ] = True,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print what went of each image, and its weight.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the container image of every tier and of the router, without Docker, a daemon or root.

    Takes the artefacts that `turnout build` sealed, after checking every byte of them, and the packages of each lock,
    whose wheels are checked by their hashes and kept in .turnout/images with the bases. The same inputs give the same
    layers on every machine. Layers lie in order of change: base, dependencies, weights or page, code. An image that
    Lambda would refuse is not kept. Linux on x86-64 only; elsewhere `cdk deploy` builds the images with an engine.

    With --push, every byte is checked again and what the registry lacks is sent: layers of an earlier push, or of
    another image, are not. The tag is put last. Credentials are AWS's for ECR, else what `docker login` kept. What was
    pushed is recorded in images.json beside the images, and `cdk deploy` deploys it.
    """
    if push and not cuda:
        raise typer.BadParameter(
            "SageMaker's GPU would not be used by an image without CUDA; leave out --without-cuda, or --push",
            param_hint="--push",
        )
    from images.registry.push import destination
    from turnout.image import making, pushing, signed

    try:
        to = destination(push) if push else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--push") from error

    wanted = making.Wanted(
        deployment=read_models_toml(config),
        out=out_dir,
        key_hashes=read_keys(keys),
        names=names or (),
        base=base,
        slim=slim,
        cuda=cuda,
    )
    made = making.image(wanted, target, making.WORK, log)
    if to is None:
        emit(as_json, made, lambda: making.show(made, out, verbose=verbose))
    else:
        signed.check_images(wanted, made)
        pushed = pushing.push_recorded(made, to, target, log)
        emit(as_json, pushed, lambda: pushing.show(pushed, out))
