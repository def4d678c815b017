"""Conversion between HTTP and API Gateway's events (payload format 2.0).

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import json
import re
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from local.control.plane import ACCOUNT

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One HTTP request; header names in lower case."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    client: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """One HTTP response."""

    status: int
    headers: Headers
    body: bytes


def gateway_error(status: int, message: str) -> HttpAnswer:
    """Return the gateway's own error response, which is not a problem document."""
    body = json.dumps({"message": message}).encode()
    return HttpAnswer(status=status, headers=[("content-type", "application/json")], body=body)


def find_route(keys: Iterable[str], method: str, path: str) -> tuple[str, dict[str, str]] | None:
    """Return the most specific route key and its path parameters: exact, then {name}, then {name+}, then $default."""
    best: tuple[int, str, dict[str, str]] | None = None
    for key in keys:
        score, parameters = _score(key, method, path)
        if score and (best is None or score > best[0]):
            best = score, key, parameters
    return (best[1], best[2]) if best else None


def _score(key: str, method: str, path: str) -> tuple[int, dict[str, str]]:
    """Return how specific a matching route key is, and the path parameters; 0 if it does not match."""
    if key == "$default":
        return 1, {}
    allowed, _, pattern = key.partition(" ")
    if allowed not in (method, "ANY"):
        return 0, {}
    escaped = re.escape(pattern)
    # `{name+}` takes the rest of the path, `{name}` one segment.
    escaped = re.sub(r"\\{(\w+)\\\+\\}", r"(?P<\1>.+)", escaped)
    escaped = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", escaped)
    match = re.fullmatch(escaped, path)
    if not match:
        return 0, {}
    kind = 2 if "+}" in pattern else 3 if "{" in pattern else 4
    return kind * 2 + (allowed != "ANY"), match.groupdict()


def event(
    request: HttpRequest, *, route_key: str, parameters: Mapping[str, str], api_id: str
) -> dict[str, Any]:
    """Return the event that a function is invoked with."""
    headers = _joined(request.headers)
    # Format 2.0 has cookies in a list of their own.
    cookies = headers.pop("cookie", "")
    now = time.time()
    document: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": api_id,
            "domainName": request.host,
            "domainPrefix": api_id,
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.client,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": uuid.uuid4().hex,
            "routeKey": route_key,
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        document["cookies"] = cookies.split("; ")
    if query := _joined(parse_qsl(request.query, keep_blank_values=True)):
        document["queryStringParameters"] = query
    if parameters:
        document["pathParameters"] = dict(parameters)
    if request.body:
        document["body"], document["isBase64Encoded"] = _text(request.body)
    return document


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Join the values of repeated names by commas."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _text(body: bytes) -> tuple[str, bool]:
    try:
        return body.decode("utf-8"), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode("ascii"), True


def answer(payload: bytes) -> HttpAnswer:
    """Convert a function's result to HTTP; a result without a status code is the body of a 200."""
    try:
        result = json.loads(payload)
    except ValueError:
        return gateway_error(500, "Internal Server Error")
    if not (isinstance(result, dict) and "statusCode" in result):
        text = result if isinstance(result, str) else json.dumps(result)
        return HttpAnswer(
            status=200, headers=[("content-type", "application/json")], body=text.encode()
        )
    raw = result.get("body") or ""
    text = raw if isinstance(raw, str) else json.dumps(raw)
    body = base64.b64decode(text) if result.get("isBase64Encoded") else text.encode()
    headers = [
        (str(name).lower(), str(value)) for name, value in (result.get("headers") or {}).items()
    ]
    # Each cookie is a header of its own, which cannot be joined by commas (RFC 6265, section 3).
    headers += [("set-cookie", str(cookie)) for cookie in result.get("cookies") or ()]
    return HttpAnswer(status=int(result["statusCode"]), headers=headers, body=body)
