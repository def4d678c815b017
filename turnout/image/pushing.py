"""Images that are made, pushed to a registry: its credentials, the progress, and the outcome."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from images.made.record import record_pushed
from images.registry.connection import Credentials
from images.registry.credentials import config_file, docker_credentials
from images.registry.push import Destination, Image, Moved, Push, read_images
from turnout.image.ecr import ecr_credentials


def credentials_of(to: Destination, config: Path | None = None) -> Credentials | None:
    """Return the credentials of a registry: AWS's for its own, else those that `docker login` kept, if any."""
    return ecr_credentials(to.host) or docker_credentials(to.host, config or config_file())


def push(made: Sequence[Mapping[str, Any]], to: Destination, log: Console) -> list[dict[str, Any]]:
    """Push images that were made; return each with where it is now, and with the bytes that were sent for it.

    Raise ImageError if a byte of one is not as its digest says, before anything is sent, and PushError if the registry
    does not take one.
    """
    with log.status("checking every byte of the images"):
        images = read_images([Path(one["folder"]) for one in made])
    credentials = credentials_of(to)
    with progress_of(log, {image.name: image.size for image in images}) as shown:
        moved = Push(to, credentials, shown.told).run(images)
    return [
        {**one, "pushed": described(to, image, of_image)}
        for one, image, of_image in zip(made, images, moved, strict=True)
    ]


def push_recorded(
    made: Sequence[Mapping[str, Any]], to: Destination, target: Path, log: Console
) -> list[dict[str, Any]]:
    """Push images and record where they are, for `cdk deploy`; return what `push` returns."""
    pushed = push(made, to, log)
    record_pushed(target, {one["image"]: one["pushed"]["reference"] for one in pushed})
    return pushed


def described(to: Destination, image: Image, moved: Moved) -> dict[str, Any]:
    """Return the outcome of a push as a document; `reference` is what to deploy, since a digest cannot be moved."""
    place = f"{to.host}/{to.repository(image.name)}"
    return {
        "reference": f"{place}@{image.digest}",
        "tag": f"{place}:{image.tag}",
        "sent": moved.sent,
        "there": moved.there,
    }


class Lines(AbstractContextManager["Lines"]):
    """A line for each thing, by names and bytes, once all of it is there; for logs."""

    def __init__(self, log: Console, sizes: Mapping[str, int]) -> None:
        self._log, self._sizes = log, sizes

    def __exit__(self, *_: object) -> None:
        """Keep the error."""

    def told(self, name: str, moved: Moved) -> None:
        if moved.sent + moved.there == self._sizes[name]:
            self._log.print(f"{name}: pushed, {bytes_of(moved)}", markup=False, soft_wrap=True)


class Bars(AbstractContextManager["Bars"]):
    """A bar for each thing, with the bytes that were sent and those that were there already."""

    def __init__(self, log: Console, sizes: Mapping[str, int]) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[moved]}"),
            TransferSpeedColumn(),
            console=log,
        )
        self._tasks: dict[str, TaskID] = {
            name: self._progress.add_task(name, total=size, moved="")
            for name, size in sizes.items()
        }

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def told(self, name: str, moved: Moved) -> None:
        done = moved.sent + moved.there
        self._progress.update(self._tasks[name], completed=done, moved=bytes_of(moved))


def progress_of(log: Console, sizes: Mapping[str, int]) -> Bars | Lines:
    """Return how the progress of things is shown, whose bytes are known by name: bars on a terminal, lines in a log."""
    return Bars(log, sizes) if log.is_terminal else Lines(log, sizes)


def bytes_of(moved: Moved) -> str:
    return f"{moved.sent / 1e6:.2f} MB sent, {moved.there / 1e6:.2f} MB there already"


def show(pushed: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print where each image is, whole on however narrow a terminal: it is what is copied into other tools."""
    for one in pushed:
        console.print(one["pushed"]["reference"], markup=False, soft_wrap=True)
    total = sum(one["pushed"]["sent"] for one in pushed)
    console.print(f"{total} bytes were pushed")
