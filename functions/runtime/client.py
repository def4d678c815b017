"""A client of the Lambda Runtime API: invocations come from it, and responses go to it, whole or in chunks.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
"""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse

from functions.runtime.failures import Failure

ROOT = "/2018-06-01/runtime"
ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
ERROR_BODY = "Lambda-Runtime-Function-Error-Body"
# Only where an environment serves several invocations at once.
INVOCATION_ID = "Lambda-Runtime-Invocation-Id"


class RuntimeApiError(Exception):
    """The Runtime API cannot be reached, broke off or refused what it was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """An invocation; `deadline_ms` is in milliseconds since 1970, `headers` go back with the response."""

    request_id: str
    event: bytes
    deadline_ms: int
    arn: str
    trace_id: str | None
    headers: Mapping[str, str]


class RuntimeClient:
    """The API at an address, `host:port`. Each call has a connection of its own: none has to outlast a freeze."""

    def __init__(self, address: str) -> None:
        self.address = address

    def next(self) -> Invocation:
        """Return the next invocation, however long that takes; raise RuntimeApiError if none can come."""
        answer, event = self._call("GET", "/invocation/next")
        found = answer.headers
        invocation_id = found[INVOCATION_ID]
        return Invocation(
            request_id=found["Lambda-Runtime-Aws-Request-Id"],
            event=event,
            deadline_ms=int(found["Lambda-Runtime-Deadline-Ms"]),
            arn=found["Lambda-Runtime-Invoked-Function-Arn"],
            trace_id=found["Lambda-Runtime-Trace-Id"],
            headers={INVOCATION_ID: invocation_id} if invocation_id else {},
        )

    def respond(self, invocation: Invocation, body: bytes, content_type: str) -> None:
        """Send a whole response; raise RuntimeApiError, as for one that is too large."""
        headers = {"Content-Type": content_type, **invocation.headers}
        self._call("POST", f"/invocation/{invocation.request_id}/response", body, headers)

    def fail(self, invocation: Invocation, failure: Failure) -> None:
        """Send a failure as the response; raise RuntimeApiError."""
        self._fail(f"/invocation/{invocation.request_id}/error", failure, invocation.headers)

    def fail_init(self, failure: Failure) -> None:
        """Say that the function cannot be snapshotted; raise RuntimeApiError."""
        self._fail("/init/error", failure)

    def wait_for_restore(self) -> None:
        """Return in an environment that is restored from the snapshot which is taken now; raise RuntimeApiError."""
        self._call("GET", "/restore/next")

    def fail_restore(self, failure: Failure) -> None:
        """Say that the function cannot go on after it was restored; raise RuntimeApiError."""
        self._fail("/restore/error", failure)

    def stream(
        self, invocation: Invocation, content_type: str, chunks: Iterator[bytes | Failure]
    ) -> None:
        """Send a response as its chunks come; a failure among them is the last that is sent.

        Raise RuntimeApiError as soon as nothing more can be sent, and ask for no more chunks.
        """
        headers = {
            "Content-Type": content_type,
            "Lambda-Runtime-Function-Response-Mode": "streaming",
            "Transfer-Encoding": "chunked",
            "Trailer": f"{ERROR_TYPE}, {ERROR_BODY}",
            **invocation.headers,
        }
        with self._connected() as connection:
            path = f"{ROOT}/invocation/{invocation.request_id}/response"
            connection.putrequest("POST", path, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            trailer = b""
            for chunk in chunks:
                if isinstance(chunk, Failure):
                    trailer = _trailer(chunk)
                    break
                # A chunk of no bytes would end the response.
                if chunk:
                    connection.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            connection.send(b"0\r\n" + trailer + b"\r\n")
            _accepted(connection)

    def _fail(self, path: str, failure: Failure, more: Mapping[str, str] | None = None) -> None:
        headers = {
            "Content-Type": "application/vnd.aws.lambda.error+json",
            ERROR_TYPE: failure.kind,
            **(more or {}),
        }
        self._call("POST", path, failure.document, headers)

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[HTTPResponse, bytes]:
        with self._connected() as connection:
            connection.request(method, ROOT + path, body, headers or {})
            return _accepted(connection)

    @contextmanager
    def _connected(self) -> Iterator[HTTPConnection]:
        connection = HTTPConnection(self.address)
        try:
            yield connection
        except (OSError, HTTPException) as error:
            raise RuntimeApiError(f"the Runtime API broke off: {type(error).__name__}") from error
        finally:
            connection.close()


def _accepted(connection: HTTPConnection) -> tuple[HTTPResponse, bytes]:
    """Return the answer to what was sent, with its body."""
    answer = connection.getresponse()
    body = answer.read()
    if answer.status // 100 != 2:
        raise RuntimeApiError(f"the Runtime API answered {answer.status}: {body[:200]!r}")
    return answer, body


def _trailer(failure: Failure) -> bytes:
    document = base64.b64encode(failure.document).decode()
    return f"{ERROR_TYPE}: {failure.kind}\r\n{ERROR_BODY}: {document}\r\n".encode()
