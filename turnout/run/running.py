"""A function that runs from its made image: what isolates it, its copies, and the address that they answer at."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from contracts.names import model_stack, router_stack
from contracts.problems import Code, Problem
from contracts.specs import CpuSpec, Deployment
from contracts.tasks import Tier
from images.errors import RunError
from images.isolation.limits import Limits
from images.made.record import Start, record_start
from images.oci.layout import Settings
from images.oci.reading import Layout, read_layout
from images.running.choice import Choice, Isolating, share_notes
from images.running.copy import Copy
from images.running.function import Function
from images.running.probe import event_of, start_problem
from images.running.rie import emulator
from images.running.server import FunctionServer

ROUTER = "router"
# The emulator's lines about itself, beside the function's own.
EMULATORS = "(rapid)"
# Two figures of its REPORT that are none: the time of INIT is another one, and the memory is the limit.
NO_FIGURES = re.compile(r"\tInit Duration: [\d.]+ ms|\tMax Memory Used: \d+ MB")


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
    """A function that answers at an address; the times of INIT are in milliseconds, as copies reported them."""

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
    with ExitStack() as undo:
        isolating = Isolating(
            work=wanted.work, choice=wanted.isolation, emulator=emulator(wanted.work)
        )
        found = isolating.isolate(name, layout, undo)
        notes = (*found.notes, *share_notes(limits))
        for note in notes:
            log.print(note, markup=False, soft_wrap=True)
        copies = [
            Copy(found.isolation, function, _told(log, number, wanted))
            for number in range(wanted.copies)
        ]
        # One after the other, so that none takes the processors while another's start is measured.
        for copy in copies:
            undo.callback(copy.end)
            _begin(copy, event_of(tier))
        server = FunctionServer(copies, wanted.port)
        server.start()
        undo.callback(server.stop)
        yield Running(
            name=name,
            digest=str(layout.descriptors[0]["digest"]),
            url=server.url,
            isolation=found.by,
            limits=limits,
            init_ms=tuple(ms for copy in copies if (ms := copy.init_ms) is not None),
            notes=notes,
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
