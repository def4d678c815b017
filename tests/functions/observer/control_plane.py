"""SageMaker, Systems Manager and DynamoDB on one port of loopback, as the observer calls them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from contracts.states.rows import CopyCounts, Row
from tests.fixtures.json_server import Answered, Received, json_server

Json = dict[str, Any]


@dataclass(slots=True)
class ControlPlane:
    """Components, releases and items; `refused` has a code for each name that an operation is refused about."""

    copies: dict[str, CopyCounts] = field(default_factory=dict)
    without_runtime: set[str] = field(default_factory=set)
    releases: dict[str, Json] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    items: list[tuple[str, Json]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def rows(self, table: str) -> list[Row]:
        return [Row.from_item(item) for name, item in self.items if name == table]

    def answer(self, operation: str, body: Json) -> tuple[int, Json]:
        self.asked.append(operation)
        name = str(body.get("InferenceComponentName") or body.get("TableName") or "")
        if name in self.refused:
            return 400, {"__type": self.refused[name], "message": "refused"}
        match operation:
            case "DescribeInferenceComponent":
                return self._described(name)
            case "GetParameters":
                found = [one for one in body["Names"] if one in self.releases]
                values = [{"Name": n, "Value": json.dumps(self.releases[n])} for n in found]
                return 200, {"Parameters": values}
            case "PutItem":
                self.items.append((name, body["Item"]))
                return 200, {}
        raise AssertionError(operation)

    def _described(self, name: str) -> tuple[int, Json]:
        if name not in self.copies:
            message = f"Could not find inference component '{name}'."
            return 400, {"__type": "ValidationException", "message": message}
        copies = self.copies[name]
        running = {"DesiredCopyCount": copies.desired, "CurrentCopyCount": copies.current}
        runtime = {} if name in self.without_runtime else {"RuntimeConfig": running}
        return 200, {"InferenceComponentStatus": copies.status, **runtime}


@contextmanager
def serving() -> Iterator[ControlPlane]:
    plane = ControlPlane()

    def answer(received: Received) -> Answered:
        operation = received.headers["X-Amz-Target"].rpartition(".")[2]
        return *plane.answer(operation, received.body), {}

    with json_server(answer) as plane.address:
        yield plane
