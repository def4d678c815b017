"""Conversion between HTTP and API Gateway's events (payload format 2.0).

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from local.control.data_plane import ACCOUNT, DEFAULT_ROUTE

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One HTTP request with the id that the gateway gave it; header names in lower case."""

    request_id: str
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


def event(request: HttpRequest, *, api_id: str) -> dict[str, Any]:
    """Return the event that a function is invoked with."""
    headers = _joined(request.headers)
    # Format 2.0 has cookies in a list of their own.
    cookies = headers.pop("cookie", "")
    now = time.time()
    document: dict[str, Any] = {
        "version": "2.0",
        "routeKey": DEFAULT_ROUTE,
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
            "requestId": request.request_id,
            "routeKey": DEFAULT_ROUTE,
            "stage": "$default",
            # As in the documentation: 12/Mar/2020:19:03:58 +0000.
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        document["cookies"] = cookies.split("; ")
    if query := _joined(parse_qsl(request.query, keep_blank_values=True)):
        document["queryStringParameters"] = query
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
