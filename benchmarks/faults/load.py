"""Requests to an endpoint at a fixed rate, whatever becomes of them (an open loop); a line of JSON for each.

A process of its own, so that sending and answering do not share an interpreter. Times are from the moment a request
was due to be sent until the last byte of its answer.
"""

import argparse
import json
import ssl
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from turnout.client import Endpoint

# More than can be under way at the rates that are asked for.
THREADS = 64
# Less than uvicorn keeps a connection that is idle.
KEPT_S = 2.0
TEXT = "where is my parcel?"


class Caller:
    """A caller with a connection of its own in each thread."""

    def __init__(self, endpoint: Endpoint, model: str, deadline_ms: int) -> None:
        self.endpoint, self.deadline_ms = endpoint, deadline_ms
        self.path = f"/v1/models/{model}/predict"
        self.url, self.here = urlsplit(endpoint.url), threading.local()
        self.context = ssl.create_default_context(cafile=endpoint.ca_file)

    def call(self, tier: str | None, due: float) -> dict[str, Any]:
        """Send a request at the time it is due, and return what is recorded of it."""
        time.sleep(max(due - time.monotonic(), 0))
        document = {"inputs": [TEXT], "deadline_ms": self.deadline_ms}
        body = json.dumps(document | ({"tier": tier} if tier else {}))
        try:
            status, answer = self._sent(body)
        except (OSError, HTTPException, ValueError) as error:
            self.here.connection = None
            status, answer = 0, {"code": type(error).__name__}
        ms = (time.monotonic() - due) * 1e3
        kept = {key: answer.get(key) for key in ("tier", "reason", "degraded", "code", "message")}
        return {"asked": tier, "status": status, "ms": round(ms, 1), **kept}

    def _sent(self, body: str) -> tuple[int, dict[str, Any]]:
        connection = self._connection()
        headers = {"Authorization": f"Bearer {self.endpoint.key}"}
        connection.request("POST", self.path, body, headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())

    def _connection(self) -> HTTPConnection:
        now = time.monotonic()
        if getattr(self.here, "connection", None) is None or now - self.here.used > KEPT_S:
            host, port = str(self.url.hostname), self.url.port
            self.here.connection = HTTPSConnection(host, port, context=self.context, timeout=60)
        self.here.used = now
        connection: HTTPConnection = self.here.connection
        return connection


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.load", description=__doc__)
    parser.add_argument("endpoint", type=Path, help="the file that `turnout up` writes")
    parser.add_argument("model")
    parser.add_argument("--rate", type=float, default=4.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--deadline-ms", type=int, default=2000)
    words = parser.parse_args()
    caller = Caller(Endpoint.load(words.endpoint), words.model, words.deadline_ms)
    begin = time.monotonic() + 0.2
    with ThreadPoolExecutor(THREADS) as threads:
        # Every other request wants the GPU tier.
        sent = [
            threads.submit(caller.call, "gpu" if n % 2 else None, begin + n / words.rate)
            for n in range(int(words.rate * words.seconds))
        ]
        for one in sent:
            sys.stdout.write(json.dumps(one.result()) + "\n")


if __name__ == "__main__":
    main()
