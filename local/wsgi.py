"""Requests and answers of AWS's services, in WSGI."""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A response of a service; one that is streamed has no body, but `parts`, which come as it is written."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    parts: Iterator[bytes] | None = None


def body_of(environ: dict[str, Any]) -> bytes:
    """Return the body of a request, which can be read again."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def answered(start: Callable[..., Any], reply: Reply) -> list[bytes]:
    """Answer a request."""
    headers = {
        "Content-Type": "application/json",
        **reply.headers,
        "Content-Length": str(len(reply.body)),
    }
    start(f"{reply.status} {'OK' if reply.status == 200 else 'Error'}", list(headers.items()))
    return [reply.body]


def streamed(start: Callable[..., Any], headers: Mapping[str, str]) -> None:
    """Begin the answer to a request, whose body is sent in chunks as it comes."""
    start("200 OK", list(headers.items()))


def until_end(parts: Iterator[bytes], undo: ExitStack) -> Iterator[bytes]:
    """Yield the parts of a body, and undo what was done for it when it ends or is closed."""
    with undo:
        yield from parts


def error(status: int, kind: str, message: str, **more: Any) -> Reply:
    """Return an error as AWS's services write it: their protocols spell its members in several ways."""
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": kind}
    members = {"__type": kind, "message": message, "Message": message}
    body = json.dumps({**members, **more}).encode()
    return Reply(status=status, headers=headers, body=body)


def model_error(status: int, message: str) -> Reply:
    """Wrap the container's error response as SageMaker does.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
    """
    wrapped = f'Received client error ({status}) from main with message "{message}"'
    return error(424, "ModelError", wrapped, OriginalStatusCode=status, OriginalMessage=message)
