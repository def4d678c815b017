"""A function that runs from its made image: what isolates it, its copies, and the address that they answer at."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rich.console import Console

from contracts.names import model_stack, router_stack
from contracts.problems import Code, Problem
from contracts.specs import CpuSpec, Deployment
from contracts.tasks import Tier
from images.engine.engine import CHOICE, find_engine
from images.engine.errors import EngineMissing
from images.errors import RunError
from images.made.record import Start, record_start
from images.oci.layout import Settings
from images.oci.reading import Layout, read_layout
from images.running.container import Container, load_image
from images.running.copy import Copy
from images.running.front import Front
from images.running.function import Function, unpack
from images.running.kernel import Kernel, kernel_problem, limits_problem
from images.running.limits import Limits
from images.running.probe import event_of, start_problem
from images.running.process import Isolation
from images.running.rie import emulator

ROUTER = "router"
# The emulator's lines about itself, beside the function's own.
EMULATORS = "(rapid)"
# Two figures of its REPORT that are none: the time of INIT is another one, and the memory is the limit.
NO_FIGURES = re.compile(r"\tInit Duration: [\d.]+ ms|\tMax Memory Used: \d+ MB")
# Folders of unpacked images, each named by the process that runs it.
UNPACKED = "running-"


class Choice(StrEnum):
    """The isolation of a function: by an engine if there is one and else by the kernel, or by one of them."""

    AUTO = "auto"
    ENGINE = "engine"
    KERNEL = "kernel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The function to run: a model's, or the router's; the memory is that of `models.toml` unless it is another."""

    deployment: Deployment
    model: str
    images: Path
    work: Path
    copies: int = 1
    memory_mb: int = 0
    port: int = 0
    isolation: Choice = Choice.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A function that answers at an address; the times of INIT are in milliseconds, one for each copy."""

    name: str
    digest: str
    url: str
    isolation: str
    limits: Limits
    init_ms: tuple[float, ...]
    notes: tuple[str, ...]

    def describe(self) -> dict[str, Any]:
        """Return what a program needs to call the function."""
        return {
            "image": self.name,
            "digest": self.digest,
            "url": self.url,
            "isolation": self.isolation,
            "memory_mb": self.limits.memory_mb,
            "cpus": round(self.limits.cpus, 3),
            "init_ms": list(self.init_ms),
            "notes": list(self.notes),
        }


@contextmanager
def running(wanted: Wanted, log: Console) -> Iterator[Running]:
    """Run a function until the block ends, which ends everything that was started.

    Raise RunError where it cannot be isolated or does not start, ImageError for an image or an emulator that cannot be
    used, and OSError where the port is taken.
    """
    name, tier, spec = _subject(wanted)
    layout = _read(wanted.images / name, name)
    limits = Limits(memory_mb=wanted.memory_mb or spec.memory_mb)
    function = Function(
        name=name,
        settings=Settings.read(layout.config["config"]),
        limits=limits,
        timeout_s=spec.timeout_s,
        variables={"TURNOUT_MAX_INPUTS": str(spec.max_inputs)} if tier else {},
    )
    wanted.work.mkdir(parents=True, exist_ok=True)
    with ExitStack() as undo:
        isolation, by, notes = _isolated(wanted, function, layout, undo)
        notes = [*notes, *_share_notes(limits)]
        for note in notes:
            log.print(note, markup=False, soft_wrap=True)
        copies = [
            Copy(isolation, function, _told(log, number, wanted)) for number in range(wanted.copies)
        ]
        # One after the other, so that none takes the processors while another's start is measured.
        for copy in copies:
            undo.callback(copy.end)
            _begin(copy, event_of(tier))
        front = Front(copies, wanted.port)
        front.start()
        undo.callback(front.stop)
        yield Running(
            name=name,
            digest=str(layout.descriptors[0]["digest"]),
            url=front.url,
            isolation=by,
            limits=limits,
            init_ms=tuple(copy.init_ms or 0.0 for copy in copies),
            notes=tuple(notes),
        )


def record_starts(one: Running, images: Path) -> None:
    """Record how long the starts took, for `turnout plan`, where they were limited as on Lambda."""
    if not one.notes:
        for ms in one.init_ms:
            start = Start(digest=one.digest, memory_mb=one.limits.memory_mb, ms=ms)
            record_start(images, start)


def _subject(wanted: Wanted) -> tuple[str, Tier | None, CpuSpec]:
    """Return the name, the tier and the settings of a function; raise RunError if there is none of the name."""
    deployment = wanted.deployment
    models = {model.name: model for model in deployment.models}
    if wanted.model == ROUTER and ROUTER not in models:
        return router_stack(deployment.name), None, CpuSpec()
    served = {name: model.cpu for name, model in models.items() if model.cpu}
    if wanted.model not in served:
        message = f"has no CPU tier in this deployment; there are {', '.join([*served, ROUTER])}"
        problem = Problem(code=Code.MODEL_UNKNOWN, where=wanted.model, message=message)
        raise RunError("no function can be run", [problem])
    name = model_stack(deployment.name, wanted.model, Tier.CPU)
    return name, Tier.CPU, served[wanted.model]


def _read(folder: Path, name: str) -> Layout:
    if not folder.is_dir():
        message = f"there is no image of it in {folder.parent}; make it by `turnout image {name}`"
        raise RunError(
            "no function can be run", [Problem(code=Code.FILE_MISSING, where=name, message=message)]
        )
    return read_layout(folder)


def _isolated(
    wanted: Wanted, function: Function, layout: Layout, undo: ExitStack
) -> tuple[Isolation, str, Sequence[str]]:
    """Return the isolation of a function, its name, and what it does not limit; raise RunError if there is none."""
    program = emulator(wanted.work)
    missing = ""
    if wanted.isolation is not Choice.KERNEL:
        try:
            engine = find_engine(wanted.work)
        except EngineMissing as error:
            if wanted.isolation is Choice.ENGINE or CHOICE in os.environ:
                raise
            missing = f"{error}; and "
        else:
            tag = load_image(engine, function.name, layout)
            return Container(engine=engine, tag=tag, emulator=program), engine.name, ()
    remove_abandoned(wanted.work)
    folder = tempfile.TemporaryDirectory(prefix=f"{UNPACKED}{os.getpid()}-", dir=wanted.work)
    root = Path(undo.enter_context(folder)) / "root"
    unpack(layout, root)
    if why := kernel_problem(root):
        raise _not_isolated(f"{missing}{why}")
    unlimited = limits_problem(function)
    notes = (
        [
            f"memory and the share of processors are not limited: {unlimited}; run it as root, or by podman"
        ]
        if unlimited
        else []
    )
    return Kernel(root=root, emulator=program, limited=not unlimited), "kernel", notes


def remove_abandoned(work: Path) -> None:
    """Remove the unpacked images of processes that were killed before they could."""
    for folder in work.glob(f"{UNPACKED}*"):
        process = folder.name.removeprefix(UNPACKED).partition("-")[0]
        if not Path("/proc", process).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _not_isolated(why: str) -> RunError:
    message = f"{why}; install podman, run it as root, or allow user namespaces (sysctl user.max_user_namespaces)"
    return RunError(
        "no function can be run", [Problem(code=Code.ISOLATION_UNAVAILABLE, message=message)]
    )


def _share_notes(limits: Limits) -> Sequence[str]:
    there = os.cpu_count() or 1
    if limits.cpus <= there:
        return ()
    return (f"this machine has {there} processors; on Lambda it would get {limits.cpus:.2f}",)


def _told(log: Console, number: int, wanted: Wanted) -> Any:
    """Return what prints a copy's log, with the number of the copy where there are several."""
    prefix = f"[{number + 1}] " if wanted.copies > 1 else ""

    def told(line: str) -> None:
        if EMULATORS not in line:
            log.print(
                f"{prefix}{NO_FIGURES.sub('', line)}", markup=False, highlight=False, soft_wrap=True
            )

    return told


def _begin(copy: Copy, event: bytes) -> None:
    """Start a copy and have it answer an event; raise RunError if it does not."""
    if problem := start_problem(copy, event):
        found = Problem(code=Code.IMAGE_PROBE, message=problem)
        raise RunError(f"{copy.function.name} does not start", [found])
