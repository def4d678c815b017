"""The router's own share of a request: from the gateway's event to the gateway's answer, less the tier's time.

Two shares are measured. Over a tier in this process that answers at once, what is left is the router's: Mangum, the
key, the body, the decision, the answer, the line of log. Over a function on loopback that answers at once, botocore's
call is left as well; the same exchange by a bare HTTP client is measured in turn and taken off. Requests come one by
one, with a pause before each as on Lambda, in which the processor's caches are lost to others.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from botocore.config import Config
from botocore.session import get_session

from benchmarks.record import ROOT, Row, publish, spread
from benchmarks.serving.asking import CLOCKS, KEY, ROUTE, Instant, NoRegistry, example_texts
from benchmarks.serving.instant import ANSWER
from contracts.keys import key_hash
from contracts.routes import Routes
from contracts.tasks import Tier
from functions.router.http.app import create_app
from functions.router.http.lambda_adapter import adapt_to_lambda
from functions.router.targets.backends import Backend, LambdaBackend

Call = Callable[[str], object]
# Four bytes each, a second level of caches and more.
EVICTING = 1_000_000
PAUSE_S = 0.005
REQUESTS = 300


def router_call(backend: Backend) -> Call:
    """Return the whole router over a CPU tier, as a function of a text."""
    routes = Routes(
        deployment="benchmark",
        registry="none",
        models={ROUTE.model: ROUTE},
        key_hashes={"benchmark": key_hash(KEY)},
    )
    assets = ROOT / "node_modules/swagger-ui-dist"
    handler: Any = adapt_to_lambda(create_app(routes, {Tier.CPU: backend}, NoRegistry(), assets))
    event = json.loads((ROOT / "tests/events/predict.json").read_text("utf-8"))
    event["headers"]["authorization"] = f"Bearer {KEY}"

    def call(text: str) -> object:
        body = json.dumps({"inputs": [text], "tier": "cpu"})
        answer = handler({**event, "body": body}, None)
        if answer["statusCode"] != 200:
            raise SystemExit(f"the router answered {answer}")
        return answer

    return call


@contextmanager
def instant_function() -> Iterator[int]:
    """Run a function that answers at once in a process of its own; give its port."""
    command = [sys.executable, "-m", "benchmarks.serving.instant"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def through_botocore(port: int) -> LambdaBackend:
    session = get_session()
    session.set_credentials("none", "none")

    def make(service: str, config: Config) -> Any:
        return session.create_client(
            service, "us-east-1", endpoint_url=f"http://127.0.0.1:{port}", config=config
        )

    return LambdaBackend(make)


def bare_exchange(port: int) -> Call:
    """Return the exchange with the function by a bare client, over a connection that is kept."""
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def call(text: str) -> object:
        connection.request("POST", "/", json.dumps({"inputs": [text]}))
        found = json.loads(connection.getresponse().read())
        if found != ANSWER:
            raise SystemExit(f"the function answered {found}")
        return found

    return call


def main(args: argparse.Namespace) -> None:
    clock = CLOCKS[args.clock]
    texts = example_texts()[:REQUESTS]
    evicting = np.ones(EVICTING, np.float32)
    found: dict[str, list[float]] = {}
    with instant_function() as port:
        calls: Mapping[str, Call] = {
            "over a tier in the process": router_call(Instant()),
            "by botocore to a function on loopback": router_call(through_botocore(port)),
            "bare exchange with that function": bare_exchange(port),
        }
        for _ in range(args.rounds + 1):
            for text in texts:
                for name, call in calls.items():
                    time.sleep(PAUSE_S)
                    evicting.sum()
                    start = clock()
                    call(text)
                    found.setdefault(name, []).append((clock() - start) / 1e6)
    # The first round makes clients and compiles what it meets.
    kept = {name: values[len(texts) :] for name, values in found.items()}
    inside, by_botocore, bare = kept.values()
    exchange = statistics.median(bare)
    rows: list[Row] = [{"what": f"{name}, ms", **spread(values)} for name, values in kept.items()]
    paired = [one - exchange for one in by_botocore]
    rows.append(
        {"what": "router's share with botocore, less the median exchange, ms", **spread(paired)}
    )
    command = f"benchmarks.serving router --clock {args.clock}"
    publish("serving_router", rows, command=command, rounds=args.rounds, requests=len(inside))
