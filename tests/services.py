"""Servers on loopback that answer, fail or hang as Lambda and SageMaker do, asked through real boto3 clients."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.config import Config

from contracts.errors import ServingError
from contracts.prediction import PredictRequest, TierAnswer
from contracts.tasks import Tier
from functions.router.backends import Backend, LambdaBackend, SageMakerBackend
from tests.serving import target

REQUEST = PredictRequest(inputs=("a text",), parameters={"top_k": 1})
GOOD = {"outputs": [{"label": "a"}], "version": "f00dfeed0000", "elapsed_ms": 2}
ANSWER = TierAnswer(outputs=({"label": "a"},), version="f00dfeed0000", elapsed_ms=2.0)


@dataclass(slots=True)
class Service:
    """What the server answers every request with; `seen` holds path, headers and body of each."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hangs_s: float = 0.0
    seen: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    address: str = ""


@contextmanager
def serving(service: Service) -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.seen.append((self.path, dict(self.headers), json.loads(body)))
            time.sleep(service.hangs_s)
            raw = (
                service.body
                if isinstance(service.body, bytes)
                else json.dumps(service.body).encode()
            )
            self.send_response(service.status)
            for name, value in {"Content-Length": str(len(raw)), **service.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *arguments: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that no longer waits is what these tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    service.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client(address: str, service: str, config: Config) -> Any:
    return boto3.client(
        service,
        config=config,
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


BACKENDS: dict[Tier, Callable[..., Backend]] = {Tier.CPU: LambdaBackend, Tier.GPU: SageMakerBackend}


def ask(address: str, tier: Tier = Tier.CPU, timeout_s: int = 1) -> TierAnswer:
    backend = BACKENDS[tier](partial(client, address))
    return backend.predict(target(tier, timeout_s=timeout_s), REQUEST)


def failure(service: Service, tier: Tier = Tier.CPU, timeout_s: int = 1) -> ServingError:
    with serving(service), pytest.raises(ServingError) as caught:
        ask(service.address, tier, timeout_s)
    assert len(service.seen) == 1
    return caught.value
