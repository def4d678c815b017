"""Servers on loopback that stream as Lambda and SageMaker do: messages of an event stream, sent when a test says so.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html (the encoding)
"""

import binascii
import json
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from contracts.tasks import Tier
from tests.functions.scripted_server import ScriptedHandler, serving

STRING_HEADER = 7
FRAMING = {"Transfer-Encoding": "chunked", "Connection": "close"}


def message(kind: str, payload: bytes, of: str = "event") -> bytes:
    """Return a message, an event or an exception of that type."""
    named = {f":{of}-type": kind, ":content-type": "application/json", ":message-type": of}
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", STRING_HEADER, len(value)) + value.encode()
        for name, value in named.items()
    )  # fmt: skip
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    checked = prelude + struct.pack("!I", binascii.crc32(prelude)) + headers + payload
    return checked + struct.pack("!I", binascii.crc32(checked))


def part(tier: Tier, payload: bytes) -> bytes:
    """Return the message that has a part of what a tier sends."""
    return message("PayloadChunk" if tier is Tier.CPU else "PayloadPart", payload)


def complete(**members: str) -> bytes:
    """Return Lambda's last message."""
    return message("InvokeComplete", json.dumps(members).encode())


def broken(code: str, **members: str) -> bytes:
    """Return the message that ends a stream of SageMaker's with an error."""
    return message(code, json.dumps(members).encode(), of="exception")


@dataclass(slots=True)
class Script:
    """The answer to each request: messages, and events that are waited for; `cut` breaks the connection then.

    `seen` has the path and body of each request; `left` is set when a client has gone before the end.
    """

    steps: Sequence[bytes | threading.Event]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    absent: set[str] = field(default_factory=set)
    seen: list[tuple[str, Any]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    def absence(self, endpoint: str) -> "Script | None":
        """Return what SageMaker says of an endpoint that is not there."""
        if endpoint not in self.absent:
            return None
        body = json.dumps({"message": f"Endpoint {endpoint} not found."}).encode()
        return Script([body], status=400, headers={"x-amzn-errortype": "ValidationError"})

    def wait(self, step: threading.Event, connection: socket.socket) -> None:
        """Wait for an event of the test; note it where the client goes first."""
        connection.settimeout(0.01)
        while not step.is_set() and not self.ended.is_set():
            try:
                if connection.recv(1) == b"":
                    self.left.set()
                    break
            except TimeoutError:
                continue
        connection.settimeout(None)


@contextmanager
def streaming(script: Script) -> Iterator[Script]:
    """Run a server until the end of the block."""

    class Handler(ScriptedHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            script.seen.append((self.path, body))
            self.close_connection = True
            said = script.absence(self.path.split("/")[2]) or script
            self.send_response(said.status)
            for name, value in {**FRAMING, **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            for step in said.steps:
                if isinstance(step, threading.Event):
                    script.wait(step, self.connection)
                else:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(step), step))
                    self.wfile.flush()
            self.wfile.write(b"" if script.cut else b"0\r\n\r\n")

    with serving(Handler, script.ended) as script.address:
        yield script
