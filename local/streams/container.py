"""A running container: its pings, and its responses, whole or in parts as they come."""

import contextlib
import http.client
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from contracts.limits import SAGEMAKER_STREAM_S, SAGEMAKER_WHOLE_S
from local.wsgi import Reply

# The most of a streamed response that is passed on at once.
PART_BYTES = 64 * 1024


@dataclass(slots=True, kw_only=True)
class Container:
    """One running container, and the number of requests that it is answering; a stream of it has `stream_s`."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    restart: Callable[[], "Container"]
    requests: int = 0
    stream_s: float = SAGEMAKER_STREAM_S

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def ping(self) -> int:
        """Return the status of `GET /ping`; 0 if nothing answers."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            # SageMaker waits 2 s for a ping.
            with self._connection(2) as connection:
                connection.request("GET", "/ping")
                return connection.getresponse().status
        return 0

    def invoke(self, body: bytes, content_type: str, *, streamed: bool = False) -> Reply:
        """Return the response of `POST /invocations`; a good one that is `streamed` has parts, which may break off."""
        with contextlib.ExitStack() as undo:
            until = time.monotonic() + self.stream_s
            limit_s = SAGEMAKER_STREAM_S if streamed else SAGEMAKER_WHOLE_S
            connection = undo.enter_context(self._connection(limit_s))
            connection.request("POST", "/invocations", body, {"Content-Type": content_type})
            answer = undo.enter_context(connection.getresponse())
            headers = dict(answer.getheaders())
            if streamed and answer.status == 200:
                parts = _parts(answer, until, undo.pop_all())
                return Reply(status=200, headers=headers, body=b"", parts=parts)
            return Reply(status=answer.status, headers=headers, body=answer.read())

    def _connection(self, timeout_s: float) -> contextlib.closing[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        return contextlib.closing(connection)

    def tail(self) -> str:
        return self.log.read_text("utf-8", "replace")[-2000:].strip()


def _parts(
    answer: http.client.HTTPResponse, until: float, undo: contextlib.ExitStack
) -> Iterator[bytes]:
    """Yield a body as it comes, in the chunks in which it was sent; raise TimeoutError when its time is over."""
    with undo:
        while part := answer.read1(PART_BYTES):
            if time.monotonic() > until:
                raise TimeoutError
            yield part
