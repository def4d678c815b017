"""SageMaker's container contract: `GET /ping` and `POST /invocations`.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

import asyncio
import json
import logging
import math
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from contracts.http_errors import (
    PROBLEM_JSON,
    ServingError,
    TierUnavailable,
    problem_document,
    shown,
    status_document,
)
from contracts.limits import SAGEMAKER_PAYLOAD_BYTES
from contracts.manifest import BrokenArtefact
from contracts.prediction import TierAnswer
from contracts.request_body import read_document
from contracts.streaming import NDJSON, Delta, line_of, parse_tier_request
from functions.gpu.metrics import Metrics
from functions.gpu.request_queue import Batching, RequestQueue
from functions.inference.engine import Engine
from functions.inference.probe import check_probe

log = logging.getLogger("turnout.gpu")

# The seconds between two lines of figures: CloudWatch keeps a metric by the minute.
METRICS_S = 60.0
BATCHING = Batching()
LOADING = "the model is being loaded"


class Server:
    """The endpoints over one engine, which is loaded in a thread; predictions run in that thread.

    A request whose caller has left, or has waited for `timeout_s` or its own deadline, is dropped before it runs.
    """

    def __init__(
        self,
        load: Callable[[], Engine],
        device: str,
        folder: Path,
        timeout_s: float,
        batching: Batching,
        write: Callable[[str], None],
    ) -> None:
        self.load, self.device, self.folder, self.timeout_s = load, device, folder, timeout_s
        self.engine: Engine | None = None
        self.unavailable: ServingError = TierUnavailable(LOADING)
        self.worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        self.metrics = Metrics(write)
        self.queue = RequestQueue(self.worker, batching, self.metrics.record)

    def start(self) -> None:
        """Load the engine, answer its probe, and have it take the memory that it will need.

        Raise TierUnavailable if its sessions are not on the device that was requested, ProbeFailed, or BrokenArtefact.
        """
        engine = self.load()
        first = engine.providers[0]
        if self.device == "cuda" and first != "CUDAExecutionProvider":
            # ONNX Runtime falls back to the CPU without an error; a GPU instance must not serve that way.
            raise TierUnavailable(
                f"this is a GPU instance, but the session's first provider is {first}, not CUDA"
            )
        check_probe(engine, self.folder)
        # A laptop's memory is not taken beforehand, and a large batch takes it seconds.
        if self.device == "cuda":
            engine = engine.warmed_up()
        manifest = engine.manifest
        self.metrics.facts = {"Model": manifest.model, "Version": manifest.version}
        self.engine = engine

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        serving = asyncio.create_task(self._serve())
        writing = asyncio.create_task(self._write_metrics())
        yield
        for task in (serving, writing):
            task.cancel()
        self.metrics.flush()
        self.worker.shutdown(wait=False, cancel_futures=True)

    async def _serve(self) -> None:
        # The server answers pings, with 503, while the model is loading: SageMaker waits for a 200.
        await asyncio.get_running_loop().run_in_executor(self.worker, self._try_start)
        if self.engine is not None:
            await self.queue.serve(self.engine)

    async def _write_metrics(self) -> None:
        while True:
            await asyncio.sleep(METRICS_S)
            self.metrics.flush()

    def _try_start(self) -> None:
        try:
            self.start()
        except ServingError as error:
            self.unavailable = error
            log.error("%s: %s", error.code, error)
        except BrokenArtefact as error:
            self.unavailable = TierUnavailable(f"the model cannot be loaded: {error}")
            log.error("%s: %s", error.code, error)
        except Exception as error:
            self.unavailable = TierUnavailable(f"the model cannot be loaded: {error}")
            log.exception("the model cannot be loaded")

    def ready(self) -> Engine:
        """Return the engine; raise TierUnavailable while it is loaded, and the reason where it cannot serve."""
        if self.engine is None:
            # Its stack would grow with every ping otherwise.
            raise self.unavailable.with_traceback(None)
        return self.engine

    async def ping(self, request: Request) -> Response:
        try:
            self.ready()
        except ServingError as error:
            return problem_response(error)
        return Response(status_code=200)

    async def invocations(self, request: Request) -> Response:
        begun = time.monotonic()
        try:
            engine = self.ready()
            encoding = request.headers.get("content-encoding")
            document = await read_document(request.stream(), encoding, SAGEMAKER_PAYLOAD_BYTES)
            # Text is generated until the deadline, and what there is of it is sent.
            prediction = parse_tier_request(document).due(begun, self.timeout_s)
            if prediction.stream:
                items = self.queue.stream(engine, prediction, request.is_disconnected)
                # What fails before there is any text is answered with its status.
                lines = written(await anext(items), items)
                return StreamingResponse(lines, media_type=NDJSON)
            answer = await self.queue.predict(engine, prediction, request.is_disconnected)
        except ServingError as error:
            return problem_response(error)
        except Exception:
            log.exception("a prediction failed")
            return problem_response(ServingError("the container failed; its log says why"))
        return Response(json.dumps(answer.to_wire()), media_type="application/json")


async def written(
    first: Delta | TierAnswer, items: AsyncGenerator[Delta | TierAnswer, None]
) -> AsyncIterator[bytes]:
    """Yield the lines of a stream; its caller, who leaves, closes it, which ends the work."""
    async with aclosing(items):
        yield line_of(first)
        try:
            async for item in items:
                yield line_of(item)
        except ServingError as error:
            yield line_of(error)
        except Exception:
            log.exception("a prediction failed")
            yield line_of(ServingError("the container failed; its log says why"))


def write_line(text: str) -> None:
    """Write a line to standard output, which CloudWatch reads."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def problem_response(error: ServingError) -> Response:
    headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else None
    text = json.dumps(problem_document(error))
    return Response(text, status_code=error.status, media_type=PROBLEM_JSON, headers=headers)


def create_app(
    load: Callable[[], Engine],
    device: str,
    folder: Path,
    timeout_s: float = math.inf,
    batching: Batching = BATCHING,
    write: Callable[[str], None] = write_line,
) -> Starlette:
    """Return the application.

    `load` opens the engine of the artefact in `folder`; `device` is the one it has to run on, "cpu" or "cuda". Callers
    wait for `timeout_s`. Figures are written by `write`, a line at a time.
    """
    server = Server(load, device, folder, timeout_s, batching, write)
    routes = [
        Route("/ping", server.ping, methods=["GET"]),
        Route("/invocations", server.invocations, methods=["POST"]),
    ]
    app = Starlette(
        routes=routes,
        lifespan=server.lifespan,
        exception_handlers={HTTPException: _http_error},
    )
    app.state.queue = server.queue
    # A path with a slash too many is not part of the contract either.
    app.router.redirect_slashes = False
    return app


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer unknown paths and methods with a problem document, as any other error."""
    assert isinstance(error, HTTPException)
    place = f"{request.method} {shown(request.scope['path'])}"
    detail = f"{place} is not part of this container; it has GET /ping and POST /invocations"
    text = json.dumps(status_document(error.status_code, detail))
    return Response(text, error.status_code, error.headers, PROBLEM_JSON)
