"""The probe of an image: its function is started as Lambda starts it, and asked what the artefact was sealed with."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from contracts.limits import LAMBDA_MB_PER_VCPU
from contracts.problems import Code, Problem
from contracts.tasks import Tier
from images.errors import ImageError
from images.folders.half_made import half_made
from images.isolation.kernel import kernel_problem
from images.isolation.limits import Limits
from images.oci.layout import Settings
from images.oci.reading import Layout
from images.running.blocks import Blocks, blocks_read, files_of, forget
from images.running.copy import Copy, NotStarted
from images.running.function import Function, unpack
from images.running.kernel import Kernel
from images.running.process import started_by

# Events that are answered without any other service: `functions/cpu/handler.py` answers the first by the version of
# the artefact, or by a problem, and the router the second by the status 200.
MODEL_EVENT = {"probe": True}
ROUTER_EVENT = {
    "version": "2.0",
    "rawPath": "/health",
    "headers": {},
    "requestContext": {"http": {"method": "GET", "path": "/health", "sourceIp": "127.0.0.1"}},
}
# Nothing limits the processors here, so that a large model on a busy machine is not refused for its time.
TIMEOUT_S = 600
ANSWERED, NO_START = "answered", "the function does not start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """The outcome of asking an image's function, empty for one that is not asked, and the blocks that were read for it.

    Blocks are None where they could not be seen.
    """

    outcome: str = ""
    blocks: Blocks | None = None


def event_of(tier: Tier | None) -> bytes:
    """Return the request that shows whether a function works: the router's, or that of a model."""
    return json.dumps(MODEL_EVENT if tier else ROUTER_EVENT).encode()


def ask(
    layout: Layout, *, name: str, event: bytes, emulator: Callable[[], Path], work: Path
) -> Probed:
    """Return that the function of an image works, or "not started" and why, if it cannot be isolated here.

    The image's own entry point is started, in its own file system, which is unpacked into `work` meanwhile, and of
    which nothing is in the page cache. Raise ImageError for one that does not start, or answers otherwise than when its
    model was built.
    """
    with half_made(work) as folder:
        root = folder / "root"
        unpack(layout, root)
        if why := kernel_problem(root):
            return Probed(outcome=f"not started: {why}")
        settings = Settings.read(layout.config["config"])
        limits = Limits(memory_mb=LAMBDA_MB_PER_VCPU)
        function = Function(name=name, settings=settings, limits=limits, timeout_s=TIMEOUT_S)
        copy = Copy(Kernel(root=root, emulator=emulator(), limited=False), function)
        files = files_of(layout, root)
        cold = forget(files)
        try:
            problem = start_problem(copy, event)
            blocks = blocks_read(files, started_by(copy.pid)) if cold and copy.pid else None
        finally:
            copy.end()
    if problem:
        found = Problem(code=Code.IMAGE_PROBE, message=problem)
        raise ImageError(f"{name}: the image is not kept", [found])
    return Probed(outcome=ANSWERED, blocks=blocks)


def start_problem(copy: Copy, event: bytes) -> str:
    """Return the problem of a copy that answers its first event; empty if it answers that as it should."""
    try:
        answer = copy.invoke(event)
    except (NotStarted, OSError, HTTPException) as error:
        return f"{NO_START}: {error}"
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        # The emulator says why in its log alone.
        said = answer.body[:500].decode("utf-8", "replace").strip()
        return "\n".join([f"{NO_START}: {said or answer.status}; the end of its log:", copy.log])
    return problem_of(document)


def problem_of(document: Mapping[str, Any]) -> str:
    """Return the problem of an answer; empty for a version of an artefact, or the status 200."""
    if "version" in document or document.get("statusCode") == 200:
        return ""
    if isinstance(problem := document.get("problem"), dict):
        return str(problem.get("detail"))
    return f"{NO_START}: {document.get('errorMessage') or document}"
