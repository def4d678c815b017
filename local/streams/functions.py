"""`InvokeWithResponseStream`: what a function sends, as events of Lambda.

https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.awslambda.exceptions import LambdaClientError

from contracts.limits import LAMBDA_PAYLOAD_BYTES
from local.control.data_plane import StreamEnd
from local.control.lambdas import stream_function
from local.permissions.operations import signed_by
from local.streams.messages import EVENT_STREAM, event, part
from local.wsgi import answered, body_of, error, streamed

PATH = re.compile(r"/2021-11-15/functions/([^/]+)/response-streaming-invocations")


def stream(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request of the operation with an event stream, or with an error before it."""
    found, signed, body = PATH.fullmatch(environ["PATH_INFO"]), signed_by(environ), body_of(environ)
    if found is None or signed is None:
        return answered(start, error(403, "MissingAuthenticationTokenException", "not signed"))
    if len(body) > LAMBDA_PAYLOAD_BYTES:
        message = f"{len(body)} byte payload is too large (limit {LAMBDA_PAYLOAD_BYTES} bytes)"
        return answered(start, error(413, "RequestTooLargeException", message, Type="User"))
    asked = parse_qs(environ.get("QUERY_STRING", "")).get("Qualifier", [None])[0]
    try:
        version, sent = stream_function(signed.region, unquote(found[1]), asked, body)
    except LambdaClientError as refused:
        return answered(start, error(refused.code, refused.error_type, str(refused.message)))
    streamed(start, {"Content-Type": EVENT_STREAM, "X-Amz-Executed-Version": version})
    wants_log = environ.get("HTTP_X_AMZ_LOG_TYPE") == "Tail"
    return _events(sent, wants_log)


def _events(sent: Iterator[bytes | StreamEnd], wants_log: bool) -> Iterator[bytes]:
    for item in sent:
        if isinstance(item, bytes):
            yield part("PayloadChunk", item)
            continue
        members = {}
        if item.error:
            details = item.error.decode("utf-8", "replace")
            members = {"ErrorCode": _kind_of(details), "ErrorDetails": details}
        if wants_log:
            members["LogResult"] = base64.b64encode(item.log[-4096:].encode()).decode()
        yield event("InvokeComplete", members)


def _kind_of(details: str) -> str:
    """Return the type of a function's error, which a runtime sends as JSON."""
    try:
        return str(json.loads(details)["errorType"])
    except (ValueError, KeyError, TypeError):
        return "Unhandled"
