"""`turnout status`, `turnout orphans` and `turnout down`: their options, and what they print."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.errors import TurnoutError
from turnout.image.command import IMAGES
from turnout.terminal import CONFIG, OUT, AsJson, Config, Out, emit, log, out

if TYPE_CHECKING:
    from turnout.deployed.inventory import Inventory
    from turnout.leaving.target import Target

Named = Annotated[
    str,
    typer.Option(
        "--deployment",
        help="Another deployment than that of models.toml, such as one that was renamed.",
        metavar="NAME",
    ),
]
Region = Annotated[str, typer.Option(help="Another region than that of models.toml.")]
Local = Annotated[
    bool, typer.Option("--local", help="Look in the local cloud that `turnout up` runs.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts.")]
ImagesFolder = Annotated[Path, typer.Option(help="The folder of `turnout image`.")]
STAYS = "What the CDK's bootstrap made for the account stays, and so do repositories that you made for images."


class Deploying(TurnoutError):
    """AWS is changing a stack, whose images cannot be told from orphans."""

    code = "deploying"


class NotRemoved(TurnoutError):
    """Something is still there after a removal, or nobody can say that it is not."""

    code = "not_removed"


def status_command(
    config: Config = CONFIG,
    deployment: Named = "",
    region: Region = "",
    images: ImagesFolder = IMAGES,
    out_dir: Out = OUT,
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Show what runs in AWS: stacks and endpoints with their state, version and dollars of this month. Changes nothing.

    The dollars are computed from the table of prices and from what is there now. Stacks, endpoints, images and
    weights that models.toml no longer names come last.
    """
    from turnout.leaving.status import show, status_of

    target, found = _found(config, deployment, region, (images, out_dir), local=local)
    status = status_of(target.deployment, found, datetime.now(UTC))
    emit(as_json, status.to_json(), lambda: show(status, out))


def orphans_command(
    config: Config = CONFIG,
    deployment: Named = "",
    region: Region = "",
    images: ImagesFolder = IMAGES,
    out_dir: Out = OUT,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete them, after showing the list and asking.")
    ] = False,
    yes: Yes = False,
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """List the deployment's stacks, endpoints, images and pushed weights in AWS that models.toml no longer names.

    They are found by the tag `turnout`, by the tags of images and by the digests of weights. No `cdk` command
    deletes what has left models.toml.
    """
    from turnout.deployed.inventory import busy, orphans

    target, everything = _found(config, deployment, region, (images, out_dir), local=local)
    now = datetime.now(UTC)
    found = orphans(everything, target.deployment, now)
    if not delete or found.empty:
        empty = f"{_place(target, found)}: nothing that models.toml does not name"
        emit(as_json, _document(target, found), lambda: _list(found, empty))
        return
    if names := busy(everything.stacks):
        raise Deploying(f"{', '.join(names)}: AWS is changing them; wait, and run it again")
    problems = _remove(target, found, yes=yes)
    left = orphans(target.inventory(), target.deployment, now)
    document = _document(target, found, problems=problems, left=left.to_json())
    said = f"nothing is left of {_place(target, found)} that models.toml does not name"
    _finish(document, problems, left, said, as_json=as_json)


def down_command(
    config: Config = CONFIG,
    deployment: Named = "",
    region: Region = "",
    images: ImagesFolder = IMAGES,
    out_dir: Out = OUT,
    yes: Yes = False,
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Delete the whole deployment from AWS, images included, after showing the list and asking.

    Then looks again, and says what is left. After a failure, or an interrupt, run it again: it goes on from there.
    Exits with 1 if anything is left.
    """
    target, found = _found(config, deployment, region, (images, out_dir), local=local)
    if found.empty:
        said = f"nothing of {_place(target, found)} is there"
        emit(as_json, _document(target, found), lambda: out.print(said, soft_wrap=True))
        return
    problems = _remove(target, found, yes=yes)
    left = target.inventory()
    document = _document(target, found, problems=problems, left=left.to_json())
    said = f"nothing of {_place(target, found)} is left. {STAYS}"
    _finish(document, problems, left, said, as_json=as_json)


def _found(
    config: Path, name: str, region: str, folders: tuple[Path, Path], *, local: bool
) -> "tuple[Target, Inventory]":
    """Return what a command is about, and what AWS has of it."""
    from turnout.leaving.target import Target, clients_of, wanted_deployment

    deployment = wanted_deployment(config, name, region)
    clients = clients_of(deployment, local=local)
    images, out_dir = folders
    target = Target(deployment=deployment, images=images, out=out_dir, clients=clients)
    with log.status("asking AWS"):
        return target, target.inventory()


def _remove(target: "Target", found: "Inventory", *, yes: bool) -> list[str]:
    """Show the list, ask, and delete what is in it; return the problems that there were."""
    from turnout.leaving.listing import lines
    from turnout.leaving.removal import Removal
    from turnout.progress import steps

    log.print(f"to be deleted of {_place(target, found)}:", soft_wrap=True)
    for line in lines(found):
        log.print(f"  {line}", soft_wrap=True, markup=False)
    if not (yes or _agreed()):
        log.print("nothing was deleted")
        raise typer.Exit(1)
    with steps(log, "deleting") as (say, _):
        removal = Removal(target.clients, say)
        try:
            removal.run(found)
        except KeyboardInterrupt as error:
            message = "interrupted; AWS goes on with the deletions that were begun, and the next run with the others"
            raise NotRemoved(message) from error
    return removal.problems


def _agreed() -> bool:
    """Ask, and return True for a yes; no answer at all is a no."""
    log.print("Delete all of this? It cannot be undone. \\[y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _finish(
    document: dict[str, Any],
    problems: list[str],
    left: "Inventory",
    said: str,
    *,
    as_json: bool,
) -> None:
    """Print the outcome; raise NotRemoved if anything is left."""
    from turnout.leaving.listing import lines

    still = [*problems, *(f"{line} is still there" for line in lines(left))]
    emit(as_json, document, lambda: None if still else out.print(said, soft_wrap=True))
    if still:
        raise NotRemoved("\n  ".join(["not all of it was deleted; run it again:", *still]))


def _document(target: "Target", found: "Inventory", **more: Any) -> dict[str, Any]:
    deployment = target.deployment
    place = {"deployment": deployment.name, "region": deployment.region, "account": found.account}
    return {**place, **found.to_json(), **more}


def _place(target: "Target", found: "Inventory") -> str:
    return f"{target.deployment.name} in {target.deployment.region}, account {found.account}"


def _list(found: "Inventory", empty: str) -> None:
    from turnout.leaving.listing import lines

    for line in lines(found):
        out.print(line, soft_wrap=True, markup=False)
    if found.empty:
        out.print(empty, soft_wrap=True)
    else:
        out.print("\n`turnout orphans --delete` deletes them.")
