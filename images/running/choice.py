"""The choice of an isolation on this machine: an engine's containers, or the kernel alone."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from contracts.problems import Code, Problem
from images.engine.engine import CHOICE, Engine, find_engine
from images.engine.errors import EngineMissing
from images.errors import RunError
from images.isolation.kernel import kernel_problem
from images.isolation.limits import LEAST, Limits
from images.layer import Layer
from images.oci.reading import Layout
from images.root import unpack_layers
from images.running.container import Container, load_image
from images.running.function import layers_of
from images.running.kernel import Kernel, limits_problem
from images.running.process import Isolation

# Folders of unpacked images, each named by the process that runs it.
UNPACKED = "running-"


class Choice(StrEnum):
    """The isolation of a function: by an engine if there is one and else by the kernel, or by one of them."""

    AUTO = "auto"
    ENGINE = "engine"
    KERNEL = "kernel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolated:
    """The isolation of an image, the name of what isolates it, and what is not limited by it, a line for each."""

    isolation: Isolation
    by: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolating:
    """The way in which images are isolated here; their functions run under the emulator, if there is one.

    Unpacked images lie in the folder `work` meanwhile.
    """

    work: Path
    choice: Choice = Choice.AUTO
    emulator: Path | None = None

    def isolate(
        self, name: str, layout: Layout, undo: ExitStack, above: Sequence[Layer] = ()
    ) -> Isolated:
        """Return the isolation of an image until `undo`, with further layers above, with which no engine keeps it.

        Raise RunError if there is none on this machine, and EngineMissing if an engine is asked for and none answers.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        missing = ""
        if self.choice is not Choice.KERNEL:
            try:
                engine = find_engine(self.work)
            except EngineMissing as error:
                if self.choice is Choice.ENGINE or CHOICE in os.environ:
                    raise
                missing = f"{error}; and "
            else:
                return self._in_engine(engine, name, layout, undo, above)
        return self._in_kernel(layout, undo, above, missing)

    def _in_engine(
        self, engine: Engine, name: str, layout: Layout, undo: ExitStack, above: Sequence[Layer]
    ) -> Isolated:
        tag = load_image(engine, name, layout, above)
        if above:
            undo.callback(engine.run, "rmi", "--force", tag)
        own = Path(undo.enter_context(self._folder()))
        container = Container(engine=engine, tag=tag, emulator=self.emulator, folder=own)
        return Isolated(isolation=container, by=engine.name)

    def _in_kernel(
        self, layout: Layout, undo: ExitStack, above: Sequence[Layer], missing: str
    ) -> Isolated:
        remove_abandoned(self.work)
        root = Path(undo.enter_context(self._folder())) / "root"
        unpack_layers([*layers_of(layout), *above], root)
        if why := kernel_problem(root):
            raise _not_isolated(f"{missing}{why}")
        unlimited = limits_problem(LEAST)
        note = f"memory and the share of processors are not limited: {unlimited}; run it as root, or by podman"
        kernel = Kernel(root=root, emulator=self.emulator, limited=not unlimited)
        return Isolated(isolation=kernel, by="kernel", notes=(note,) if unlimited else ())

    def _folder(self) -> "tempfile.TemporaryDirectory[str]":
        return tempfile.TemporaryDirectory(prefix=f"{UNPACKED}{os.getpid()}-", dir=self.work)


def remove_abandoned(work: Path) -> None:
    """Remove the unpacked images of processes that were killed before they could."""
    for folder in work.glob(f"{UNPACKED}*"):
        process = folder.name.removeprefix(UNPACKED).partition("-")[0]
        if not Path("/proc", process).exists():
            shutil.rmtree(folder, ignore_errors=True)


def share_notes(limits: Limits) -> tuple[str, ...]:
    """Return that a function gets a smaller share of processors than on Lambda, where this machine has fewer."""
    there = os.cpu_count() or 1
    if limits.cpus <= there:
        return ()
    return (f"this machine has {there} processors; on Lambda it would get {limits.cpus:.2f}",)


def _not_isolated(why: str) -> RunError:
    message = f"{why}; install podman, run it as root, or allow user namespaces (sysctl user.max_user_namespaces)"
    return RunError(
        "no function can be run", [Problem(code=Code.ISOLATION_UNAVAILABLE, message=message)]
    )
