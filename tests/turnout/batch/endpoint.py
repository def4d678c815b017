"""An endpoint that answers each row with its text in capitals, but for what a test has it do first."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.fixtures.json_server import Answered, Received, json_server
from turnout.client import Endpoint

Said = tuple[int, dict[str, Any], dict[str, str]]


@dataclass(slots=True, kw_only=True)
class Scripted:
    """The requests that came, and `before`: what is answered in place of outputs, None for outputs.

    `listed` is what it says of itself.
    """

    before: Callable[[list[Any]], Said | None] = lambda inputs: None
    seen: list[dict[str, Any]] = field(default_factory=list)
    listed: dict[str, Any] = field(default_factory=dict)
    connections: set[Any] = field(default_factory=set)
    most: int = 0
    now: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(url=self.url, key="k")

    @property
    def sent(self) -> list[Any]:
        """Return every input that came, once for each time."""
        return [one for document in self.seen for one in document["inputs"]]


def problem(status: int, code: str, detail: str = "no", **headers: str) -> Said:
    return status, {"status": status, "code": code, "detail": detail}, headers


def answer(inputs: list[Any]) -> dict[str, Any]:
    outputs = [{"label": str(one).upper(), "tokens": 1} for one in inputs]
    return {"model": "m", "version": "v1", "tier": "cpu", "reason": "fits_cpu", "outputs": outputs}


@contextmanager
def serving(service: Scripted, slow_s: float = 0.0) -> Iterator[Scripted]:
    def answered(received: Received) -> Answered:
        if received.body is None:
            return 200, service.listed, {}
        with service.lock:
            service.seen.append({**received.body, "path": received.path})
            service.connections.add(received.client)
            service.now += 1
            service.most = max(service.most, service.now)
        time.sleep(slow_s)
        inputs = received.body["inputs"]
        said = service.before(inputs) or (200, answer(inputs), {})
        with service.lock:
            service.now -= 1
        return said

    with json_server(answered) as service.url:
        yield service
