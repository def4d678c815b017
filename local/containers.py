"""SageMaker containers: each inference component is a process of its image's server, on a loopback port."""

import contextlib
import http.client
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from contracts.limits import SAGEMAKER_PAYLOAD_BYTES, SAGEMAKER_STREAM_S, SAGEMAKER_WHOLE_S
from local import children
from local.chaos.running import Chaos
from local.chaos.script import Fault
from local.chaos.services import Called
from local.errors import LocalError
from local.images import Image
from local.python_environments import python_for
from local.streams.container import Container
from local.vllm.process import HOMES, is_vllm, process_of
from local.wsgi import Reply, error, model_error, until_end

# The whole text of the runtime's ValidationError where no copy is in service, as AWS's notebook on scaling to zero
# shows it. https://github.com/aws-samples/sagemaker-genai-hosting-examples
NO_CAPACITY = (
    "Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress (if "
    "configured) or try to increase the capacity by invoking UpdateInferenceComponentRuntimeConfig API."
)
# SageMaker waits 30 s between SIGTERM and SIGKILL; nothing here has that long to finish.
GRACE_S = 3.0
BASE = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


class Fleet:
    """All containers of one cloud, by inference component; `homes` are the folders of what stands in for vLLM's."""

    def __init__(
        self,
        state: Path,
        venvs: Path,
        *,
        chaos: Chaos,
        report: Callable[[str], None],
        homes: tuple[Path, Path] = HOMES,
    ) -> None:
        self.homes = homes
        self.images, self.logs = state / "images", state / "logs"
        self.weights = state / "weights"
        self.venvs, self.chaos, self.report = venvs, chaos, report
        self.lock = threading.Lock()
        self.containers: dict[str, Container] = {}
        self.starting: list[Container] = []
        for folder in (self.images, self.logs, self.weights):
            folder.mkdir(parents=True, exist_ok=True)

    def start(
        self,
        component: str,
        image_uri: str,
        environment: dict[str, str],
        wait_s: int,
        *,
        logs: bool = True,
        weights: Callable[[Path], None] | None = None,
    ) -> None:
        """Start a component's container and wait until it is ready; raise LocalError with the end of its log.

        The container that it has serves until then, and longer if the new one fails: capacity is provisioned before
        traffic is moved, https://docs.aws.amazon.com/sagemaker/latest/dg/inference-component-rolling-updates.html.
        Without `logs` its output is lost, as that of a container whose role may not write its log. A container of
        vLLM serves what `weights` writes into a folder.
        """
        log = self.logs / f"{component}.log" if logs else Path(os.devnull)

        folder = self._folder(component, image_uri, weights)

        def run() -> Container:
            return self._run(component, image_uri, environment, log, folder)

        self.report(f"starting the container of {component}")
        container = run()
        with self.lock:
            self.starting.append(container)
        try:
            _wait(container, wait_s)
        except LocalError:
            children.end(container.process, grace_s=GRACE_S)
            raise
        finally:
            with self.lock:
                self.starting.remove(container)
        with self.lock:
            before = self.containers.get(component)
            self.containers[component] = container
        if before:
            _drain(before)
            children.end(before.process, grace_s=GRACE_S)

    def _folder(
        self, component: str, image_uri: str, weights: Callable[[Path], None] | None
    ) -> Path | None:
        """Return a new folder with the weights; the container before may still read its own."""
        if weights is None:
            return None
        if not is_vllm(image_uri):
            raise LocalError(f"the local cloud serves weights by vLLM alone, not by {image_uri}")
        folder = Path(tempfile.mkdtemp(prefix=f"{component}-", dir=self.weights))
        weights(folder)
        return folder

    def _run(
        self,
        component: str,
        image_uri: str,
        environment: dict[str, str],
        log: Path,
        weights: Path | None,
    ) -> Container:
        port = children.free_port()
        if weights:
            serving = process_of(weights, port, environment, self.homes)
            command, folder = list(serving.command), weights
            variables = {**environment, **serving.variables}
        else:
            image = Image.load(self.images, image_uri)
            command, folder = self._command(image), image.folder
            variables = _variables(image, environment, port)
        with log.open("ab") as output:
            process = children.start(
                command, environment={**BASE, **variables}, folder=folder, output=output
            )
        return Container(
            name=component,
            port=port,
            process=process,
            log=log,
            restart=lambda: self._run(component, image_uri, environment, log, weights),
        )

    def _command(self, image: Image) -> list[str]:
        python = python_for(image.folder, self.venvs, self.report)
        command = [*image.entrypoint, *image.command]
        if command[:1] == ["python"]:
            command[0] = str(python)
        # SageMaker runs an image with the argument `serve` (see the page above).
        return [*command, "serve"]

    def stop(self, component: str) -> None:
        with self.lock:
            container = self.containers.pop(component, None)
        if container:
            children.end(container.process, grace_s=GRACE_S)

    def close(self) -> None:
        for container in list(self.starting):
            children.end(container.process)
        for component in list(self.containers):
            self.stop(component)

    def processes(self) -> list[tuple[str, int]]:
        with self.lock:
            every = [*self.containers.values(), *self.starting]
            return [(f"sagemaker {c.name}", c.process.pid) for c in every if c.alive]

    def invoke(
        self, component: str, body: bytes, content_type: str, *, streamed: bool = False
    ) -> Reply:
        """Return the response of `InvokeEndpoint`, with the runtime API's own errors.

        One that is `streamed` and good is in parts, which break off with OSError, HTTPException or ValueError.
        """
        if len(body) > SAGEMAKER_PAYLOAD_BYTES:
            return error(
                413, "ValidationError", f"the body is over {SAGEMAKER_PAYLOAD_BYTES} bytes"
            )
        with self.lock:
            container = self.containers.get(component)
            starts = any(one.name == component for one in self.starting)
            if container:
                container.requests += 1
        if container is None:
            missing = f"Inference component {component} not found."
            return error(400, "ValidationError", NO_CAPACITY if starts else missing)
        with contextlib.ExitStack() as undo:
            undo.callback(self._answered, container)
            reply = self._answer(container, body, content_type, streamed)
            if reply.parts is None:
                return reply
            return replace(reply, parts=until_end(reply.parts, undo.pop_all()))

    def _answered(self, container: Container) -> None:
        with self.lock:
            container.requests -= 1

    def _answer(
        self, container: Container, body: bytes, content_type: str, streamed: bool
    ) -> Reply:
        if not container.alive:
            self._restart(container.name, container)
            return error(503, "ServiceUnavailable", "the container has ended and is started again")
        called = Called(service="sagemaker", name=container.name)
        if self.chaos.strike(called, Fault.HANG):
            self.chaos.hold(SAGEMAKER_WHOLE_S)
            return model_error(504, f"no answer in {SAGEMAKER_WHOLE_S} seconds")
        if self.chaos.strike(called, Fault.CRASH):
            children.end(container.process)
        try:
            reply = container.invoke(body, content_type, streamed=streamed)
        except TimeoutError:
            limit_s = SAGEMAKER_STREAM_S if streamed else SAGEMAKER_WHOLE_S
            return model_error(504, f"no answer in {limit_s} seconds")
        except (OSError, http.client.HTTPException):
            return model_error(500, "the container closed the connection")
        if reply.status != 200:
            return model_error(reply.status, reply.body.decode("utf-8", "replace"))
        headers = {
            # Starlette sends header names in lower case.
            "Content-Type": reply.headers.get("content-type", "application/json"),
            "x-Amzn-Invoked-Production-Variant": "main",
        }
        return Reply(status=200, headers=headers, body=reply.body, parts=reply.parts)

    def _restart(self, component: str, dead: Container) -> None:
        with self.lock:
            if self.containers.get(component) is dead:
                self.containers[component] = dead.restart()


def _variables(image: Image, environment: dict[str, str], port: int) -> dict[str, str]:
    return {
        "PYTHONPATH": str(image.folder),
        **image.environment,
        **environment,
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "TURNOUT_HOST": "127.0.0.1",
        "TURNOUT_MODEL_DIR": str(image.folder / "model"),
        # A laptop has no GPU: the same container computes on the CPU, in the same precision.
        "TURNOUT_DEVICE": "cpu",
    }


def _wait(container: Container, wait_s: float) -> None:
    """Wait until a container answers its ping; raise LocalError if it ends or takes longer."""
    deadline = time.monotonic() + wait_s
    while container.ping() != 200:
        if not container.alive or time.monotonic() > deadline:
            state = "did not become ready" if container.alive else "ended"
            raise LocalError(
                f"the container of {container.name} {state}; the end of its log:\n{container.tail()}"
            )
        time.sleep(0.1)


def _drain(container: Container) -> None:
    """Wait until a container that gets no new requests has answered those that it has."""
    deadline = time.monotonic() + SAGEMAKER_WHOLE_S
    while container.alive and container.requests and time.monotonic() < deadline:
        time.sleep(0.01)
