"""The function of an image, started by its own entry point in a folder with its files, as Lambda starts it.

It is isolated by the kernel, and has the image's environment and nothing of this machine's.
"""

import json
import os
import queue
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contracts.problems import Code, Problem
from images.errors import ImageError
from images.isolation.kernel import Program, isolated, kernel_problem
from images.oci.layout import Settings
from images.runtime_api import End, RuntimeApi, Work

# One vCPU: answers are then computed in one order, and are the same each time.
MEMORY_MB = "1769"
TIMEOUT_S = 300.0
ENVIRONMENT = {
    "AWS_LAMBDA_FUNCTION_NAME": "function",
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": MEMORY_MB,
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
}
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:function:1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A start of the function: the payloads that it gets, and what is added to the image's environment."""

    payloads: tuple[bytes, ...]
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply to a payload: a response, an error, or how the process ended without one."""

    kind: str
    payload: bytes = b""


def replies(root: Path, settings: Settings, case: Case) -> list[Reply]:
    """Return a function's reply to each payload of a case; after one that ends the process, it is started again.

    One that cannot be initialised, or ends at the first payload, gives the same reply to all, as starting it for each
    would take minutes. Raise ImageError where nothing can be isolated.
    """
    found: list[Reply] = []
    while len(found) < len(case.payloads):
        with _started(root, settings, dict(case.environment)) as (api, process):
            while len(found) < len(case.payloads):
                number = len(found)
                reply = _ask(api, process, number, case.payloads[number])
                if reply.kind == "init" or (reply.kind == "ended" and number == 0):
                    return [reply] * len(case.payloads)
                found.append(reply)
                if reply.kind == "ended":
                    break
    return found


def _ask(api: RuntimeApi, process: subprocess.Popen[bytes], number: int, payload: bytes) -> Reply:
    until = time.time() + TIMEOUT_S
    # Identities are a part of some errors, so they are the same in each run.
    identity = f"{number:032}"
    deadline = int(until * 1e3)
    api.work.put(Work(request_id=identity, payload=payload, deadline_ms=deadline, arn=ARN))
    while time.time() < until:
        try:
            answer = api.answers.get(timeout=0.02)
        except queue.Empty:
            # The end of the process wakes no queue.
            if process.poll() is not None and api.answers.empty():
                return Reply(kind="ended", payload=str(process.returncode).encode())
            continue
        if not answer.request_id:
            return Reply(kind="init", payload=answer.payload)
        if answer.request_id == identity and answer.chunks:
            return _streamed(answer.chunks)
        if answer.request_id == identity:
            return Reply(kind="error" if answer.error else "response", payload=answer.payload)
    return Reply(kind="ended", payload=b"timed out")


def _streamed(chunks: "queue.Queue[bytes | End]") -> Reply:
    """Return a response that is streamed once it is whole; a connection that is cut ends it."""
    sent = bytearray()
    while isinstance(chunk := chunks.get(timeout=TIMEOUT_S), bytes):
        sent += chunk
    kind = "cut" if chunk.cut else "error" if chunk.error else "stream"
    return Reply(kind=kind, payload=bytes(sent) + chunk.error)


@contextmanager
def _started(
    root: Path, settings: Settings, more: Mapping[str, str]
) -> Iterator[tuple[RuntimeApi, subprocess.Popen[bytes]]]:
    api = RuntimeApi()
    environment = {**settings.environment, **ENVIRONMENT, **more}
    environment["AWS_LAMBDA_RUNTIME_API"] = api.address
    program = Program(
        command=(*settings.entrypoint, *settings.command),
        environment=environment,
        folder=settings.working_dir,
    )
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            isolated(root, program),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield api, process
        finally:
            # The process is the first of its own namespace, so all that it has started ends with it.
            os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
            process.wait()
            api.close()


def check_isolation(root: Path, settings: Settings) -> None:
    """Raise ImageError unless the image's interpreter can be started with the folder as its root."""
    program = Program(command=(settings.entrypoint[0], "--version"), folder=settings.working_dir)
    if why := kernel_problem(root, program):
        message = (
            f"the slimmed image cannot be started, so nothing proves it ({why[-300:]}); run as root, allow user "
            "namespaces, or make whole images by --no-slim"
        )
        raise ImageError(str(root), [Problem(code=Code.IMAGE_UNPROVEN, message=message)])


def without_times(reply: Reply) -> object:
    """Return a reply in a form that compares: what a model's answer has beside the time that it took."""
    try:
        if reply.kind != "stream":
            documents = [json.loads(reply.payload)]
            timed = documents[0]
        else:
            documents = [json.loads(line) for line in reply.payload.splitlines()]
            timed = documents[-1].get("answer")
    except ValueError:
        return (reply.kind, reply.payload)
    if isinstance(timed, dict):
        timed.pop("elapsed_ms", None)
    return (reply.kind, json.dumps(documents, sort_keys=True))
