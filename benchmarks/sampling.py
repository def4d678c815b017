"""The time that a sample adds to its request: the router over a server on loopback in place of Lambda, interleaved.

What is measured is our own: the choice, the JSON, a thread, boto3, and an answer on an open connection, as processor
time of this process, the server's included, so that other work of the machine does not count. In an account, the
acceptance of an event by Lambda comes on top.
"""

import argparse
import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import boto3
from botocore.config import Config

from benchmarks.record import Row, publish, spread
from contracts.prediction import PredictRequest
from contracts.routes import Cascade, Route, Target
from contracts.tasks import Task, Tier
from functions.router.answering.answers import Answering
from functions.router.answering.sampling import Sampling
from functions.router.targets.backends import LambdaBackend

# Of a text in the middle of what classifiers are asked.
TEXT = "where is my parcel, it was due on monday and nobody answers " * 5
CASCADE = Cascade(
    threshold=0.5, parameters={}, rows=500, kept=0.9, lost=0.0, bound=0.01, assurance=0.95
)


class Lambda(BaseHTTPRequestHandler):
    """A function that answers at once, and a service that accepts every event."""

    protocol_version = "HTTP/1.1"
    # As Lambda: an answer in two parts would wait for the acknowledgement of the first.
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        outputs = [{"label": "a", "score": 0.9} for _ in document["inputs"]]
        body = json.dumps({"outputs": outputs, "version": "0" * 12, "elapsed_ms": 1.0}).encode()
        is_event = self.headers.get("X-Amz-Invocation-Type") == "Event"
        self.send_response(202 if is_event else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        # The client ends its connections by their reset.
        with contextlib.suppress(ConnectionResetError):
            super().handle()

    def log_message(self, format: str, *arguments: object) -> None:
        return


def target(tier: Tier, **changes: Any) -> Target:
    one = Target(
        model="a",
        tier=tier,
        address="a",
        version="0" * 12,
        precision="int8",
        max_inputs=64,
        max_chars=50_000,
        max_tokens=128,
        timeout_s=20,
    )
    return replace(one, **changes)


def asking(address: str, sample: float) -> Callable[[Answering], float]:
    """Return a function that gives the milliseconds of processor time of one request."""
    targets = {Tier.CPU: target(Tier.CPU), Tier.GPU: target(Tier.GPU, sample=sample)}
    route = Route(model="a", task=Task.TEXT_CLASSIFICATION, targets=targets, cascade=CASCADE)

    def ask(answering: Answering) -> float:
        fields: dict[str, Any] = {}
        request = PredictRequest(inputs=(TEXT,), deadline=time.monotonic() + 20)
        began = time.process_time()
        anyio.run(answering.answer, request, route, fields)
        ms = (time.process_time() - began) * 1e3
        assert fields.get("sampled", 0) == sample
        return ms

    return ask


def main(rounds: int) -> list[Row]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lambda)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"

    def make(service: str, config: Config) -> Any:
        return boto3.client(
            service,
            config=config,
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    cpu = LambdaBackend(make)
    answering = Answering({Tier.CPU: cpu}, sampling=Sampling("sampler:live", cpu, patience_s=20))
    contenders = {"a request": asking(address, 0), "a request that is sampled": asking(address, 1)}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for ask in contenders.values():
        ask(answering)
    for _ in range(rounds):
        for name, ask in contenders.items():
            times[name].append(ask(answering))
    server.shutdown()
    plain, sampled = times.values()
    added = [b - a for a, b in zip(plain, sampled, strict=True)]
    rows: list[Row] = [{"what": f"{name}, ms", **spread(ms)} for name, ms in times.items()]
    rows.append({"what": "added by the sample, paired, ms", **spread(added)})
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1_000)
    options = parser.parse_args()
    publish("sampling", main(options.rounds), rounds=options.rounds)
