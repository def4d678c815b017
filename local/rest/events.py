"""Conversion between HTTP and a REST API's events (payload format 1.0), and of the answers that functions stream.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
"""

import base64
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from local.control.data_plane import ACCOUNT
from local.events import HttpRequest

PRELUDE_END = bytes(8)
# The status and the headers have to come within so many bytes.
PRELUDE_BYTES = 16 * 1024
# Of the caller nothing else is known here.
UNKNOWN_IDENTITY = ("accountId", "apiKey", "caller", "cognitoIdentityId", "user", "userArn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The place of a request in an API: its stage, the resource that takes it, and its path without the stage.

    `sent` is the path as its caller has it, and `seen` as an event has it: with the base path of a custom domain, as
    https://github.com/CodeGenieApp/serverless-express/issues/216 has found, and without a stage.
    """

    api_id: str
    stage: str
    resource: str
    resource_id: str
    path: str
    sent: str
    seen: str
    binary: tuple[str, ...] = ()


def event(request: HttpRequest, place: Place) -> dict[str, Any]:
    """Return the event that a function is invoked with."""
    now = time.time()
    query = parse_qsl(request.query, keep_blank_values=True)
    headers = _many(request.headers)
    body, is_base64 = _body(request.body, headers.get("content-type", [""])[-1], place.binary)
    return {
        "resource": place.resource,
        "path": place.seen,
        "httpMethod": request.method,
        "headers": _last(headers),
        "multiValueHeaders": headers or None,
        "queryStringParameters": _last(_many(query)),
        "multiValueQueryStringParameters": _many(query) or None,
        "pathParameters": {"proxy": place.path[1:]} if place.resource != "/" else None,
        "stageVariables": None,
        "requestContext": {
            "resourceId": place.resource_id,
            "resourcePath": place.resource,
            "httpMethod": request.method,
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "requestTimeEpoch": int(now * 1000),
            "path": place.sent,
            "accountId": ACCOUNT,
            "protocol": "HTTP/1.1",
            "stage": place.stage,
            "domainPrefix": place.api_id,
            "domainName": request.host,
            "requestId": request.request_id,
            "apiId": place.api_id,
            "identity": {
                **dict.fromkeys(UNKNOWN_IDENTITY),
                "sourceIp": request.client,
                "userAgent": headers.get("user-agent", [None])[-1],
            },
        },
        "body": body,
        "isBase64Encoded": is_base64,
    }


def _many(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _last(many: dict[str, list[str]]) -> dict[str, str] | None:
    return {name: values[-1] for name, values in many.items()} or None


def _body(body: bytes, content_type: str, binary: tuple[str, ...]) -> tuple[str | None, bool]:
    """Return a body as text, whatever it is, unless its type is one of the API's binary ones."""
    if not body:
        return None, False
    if content_type.partition(";")[0].strip() in binary:
        return base64.b64encode(body).decode("ascii"), True
    return body.decode("utf-8", "replace"), False


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """A response that a function has begun: its status, its headers, and the rest of the body that came with them."""

    status: int
    headers: list[tuple[str, str]]
    rest: bytes


def begun(chunks: Iterator[bytes]) -> Began | None:
    """Return how a streamed response begins; None if it does not begin like one."""
    head = bytearray()
    for chunk in chunks:
        head += chunk
        prelude, end, rest = head.partition(PRELUDE_END)
        if end:
            return _read(bytes(prelude), bytes(rest))
        if len(head) > PRELUDE_BYTES:
            break
    return None


def _read(prelude: bytes, rest: bytes) -> Began | None:
    try:
        document = json.loads(prelude)
        status = int(document["statusCode"])
        named = {**(document.get("headers") or {}), **(document.get("multiValueHeaders") or {})}
    except (ValueError, TypeError, KeyError):
        return None
    headers = [
        (str(name).lower(), str(value))
        for name, values in named.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    cookies = [("set-cookie", str(cookie)) for cookie in document.get("cookies") or ()]
    return Began(status=status, headers=[*headers, *cookies], rest=rest)
