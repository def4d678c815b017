"""The HTTPS front: routes, events, limits and error bodies as API Gateway has them."""

import base64
import http.client
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.cloud import Cloud
from local.events import answer, find_route
from tests.fixtures.local_cloud import Lab
from tests.fixtures.router_app import EVENT

TIMEOUT_S = 1.5


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Cloud(tmp_path_factory.mktemp("cloud"), gateway_timeout_s=TIMEOUT_S) as cloud:
        lab = Lab(cloud)
        routes = {
            "GET /api": "api",
            "$default": "api",
            "POST /slow": "slow",
            "POST /fails": "fails",
            "GET /crash": "crash",
        }
        functions = {
            handler: lab.function(handler, handler, timeout_s=20)
            for handler in set(routes.values())
        }
        api = lab.client("apigatewayv2")
        made = api.create_api(Name="lab", ProtocolType="HTTP")["ApiId"]
        arn = f"arn:aws:lambda:{cloud.region}:123456789012:function:{{}}"
        for key, handler in routes.items():
            integration = api.create_integration(
                ApiId=made,
                IntegrationType="AWS_PROXY",
                IntegrationUri=arn.format(functions[handler]),
                PayloadFormatVersion="2.0",
            )["IntegrationId"]
            api.create_route(ApiId=made, RouteKey=key, Target=f"integrations/{integration}")
        limits = {"ThrottlingRateLimit": 100, "ThrottlingBurstLimit": 100}
        api.create_stage(
            ApiId=made, StageName="$default", AutoDeploy=True, DefaultRouteSettings=limits
        )
        lab.made["api"] = made
        yield lab


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: Any


def ask(
    lab: Lab, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Answer:
    url = urlsplit(lab.cloud.url)
    context = ssl.create_default_context(cafile=str(lab.cloud.ca_file))
    connection = http.client.HTTPSConnection(
        str(url.hostname), url.port, context=context, timeout=30
    )
    try:
        connection.request(method, path, body, headers or {})
        found = connection.getresponse()
        return Answer(
            status=found.status, headers=found.getheaders(), body=json.loads(found.read())
        )
    finally:
        connection.close()


def test_an_event_is_shaped_as_api_gateways(lab: Lab) -> None:
    headers = {"X-Twice": "a", "Cookie": "s=1; t=2", "User-Agent": "lab"}
    found = ask(lab, "POST", "/a%20b/c?x=1&x=2&y=", b'{"inputs": "gr\xc3\xbc\xc3\x9fe"}', headers)
    event = found.body
    assert set(EVENT) | {"cookies", "queryStringParameters"} == set(event)
    assert set(EVENT["requestContext"]) == set(event["requestContext"])
    assert set(EVENT["requestContext"]["http"]) == set(event["requestContext"]["http"])
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == (
        "2.0",
        "/a%20b/c",
        "x=1&x=2&y=",
    )
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""}
    assert (event["cookies"], "cookie" in event["headers"]) == (["s=1", "t=2"], False)
    assert (event["headers"]["x-twice"], event["requestContext"]["http"]["userAgent"]) == (
        "a",
        "lab",
    )
    assert (event["body"], event["isBase64Encoded"]) == ('{"inputs": "grüße"}', False)
    assert (event["routeKey"], event["requestContext"]["http"]["method"]) == ("$default", "POST")


def test_an_answers_status_headers_and_cookies_arrive(lab: Lab) -> None:
    found = ask(lab, "GET", "/api")
    named = [(name.lower(), value) for name, value in found.headers]
    assert found.body["routeKey"] == "GET /api"
    assert [value for name, value in named if name == "set-cookie"] == ["a=1", "b=2"]
    assert ("content-type", "application/json") in named


def test_a_body_that_is_not_text_comes_as_base64(lab: Lab) -> None:
    event = ask(lab, "POST", "/", b"\xff\xfe").body
    assert (base64.b64decode(event["body"]), event["isBase64Encoded"]) == (b"\xff\xfe", True)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/slow", b'{"seconds": 5}', 500, "Internal Server Error"),
        ("POST", "/fails", b"{}", 500, "Internal Server Error"),
        ("GET", "/crash", b"", 500, "Internal Server Error"),
        ("POST", "/", b"x" * (7 * 2**20), 413, "Request Entity Too Large"),
        ("POST", "/", b"x" * (11 * 2**20), 413, "Request Entity Too Large"),
    ],
    ids=["wrong event", "exception", "crash", "7 MB", "11 MB"],
)
def test_what_the_gateway_answers_itself_has_its_own_body(
    lab: Lab, method: str, path: str, body: bytes, status: int, message: str
) -> None:
    found = ask(lab, method, path, body)
    assert (found.status, found.body) == (status, {"message": message})


def test_a_function_that_hangs_is_given_up_on(lab: Lab) -> None:
    hangs = lab.function(
        "hangs", "api", code="import time\ndef api(event, context): time.sleep(15)"
    )
    api = lab.client("apigatewayv2")
    uri = f"arn:aws:lambda:{lab.cloud.region}:123456789012:function:{hangs}"
    made = api.create_integration(
        ApiId=lab.made["api"], IntegrationType="AWS_PROXY", IntegrationUri=uri
    )
    target = f"integrations/{made['IntegrationId']}"
    api.create_route(ApiId=lab.made["api"], RouteKey="GET /hangs", Target=target)
    found = ask(lab, "GET", "/hangs")
    assert (found.status, found.body) == (503, {"message": "Service Unavailable"})
    assert ask(lab, "GET", "/api").status == 200


def throttle(lab: Lab, rate: float, burst: int) -> None:
    api, stage = lab.client("apigatewayv2"), {"ApiId": lab.made["api"], "StageName": "$default"}
    api.delete_stage(**stage)
    limits = {"ThrottlingRateLimit": rate, "ThrottlingBurstLimit": burst}
    api.create_stage(**stage, AutoDeploy=True, DefaultRouteSettings=limits)


def test_more_requests_than_the_stage_allows_are_refused(lab: Lab) -> None:
    throttle(lab, 0.001, 3)
    found = [ask(lab, "GET", "/api") for _ in range(5)]
    throttle(lab, 100, 100)
    assert [answer.status for answer in found] == [200, 200, 200, 429, 429]
    assert found[-1].body == {"message": "Too Many Requests"}


def test_the_certificate_is_good_for_its_own_authority_alone(lab: Lab) -> None:
    url = urlsplit(lab.cloud.url)
    stranger = http.client.HTTPSConnection(
        str(url.hostname), url.port, context=ssl.create_default_context()
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.request("GET", "/")
    stranger.close()


@pytest.mark.parametrize(
    ("method", "path", "key", "parameters"),
    [
        ("GET", "/pets", "GET /pets", {}),
        ("POST", "/pets", "ANY /pets", {}),
        ("GET", "/pets/7", "GET /pets/{id}", {"id": "7"}),
        ("GET", "/pets/7/toys/8", "GET /pets/{rest+}", {"rest": "7/toys/8"}),
        ("DELETE", "/x", "$default", {}),
    ],
)
def test_the_most_specific_route_is_taken(
    method: str, path: str, key: str, parameters: dict[str, str]
) -> None:
    keys = ["$default", "ANY /pets", "GET /pets/{rest+}", "GET /pets", "GET /pets/{id}"]
    assert find_route(keys, method, path) == (key, parameters)


def test_without_a_default_route_an_unknown_path_is_not_found() -> None:
    assert find_route(["GET /pets"], "GET", "/dogs") is None


@pytest.mark.parametrize(
    ("payload", "status", "body"),
    [
        (b'{"statusCode": 201, "body": "aGk=", "isBase64Encoded": true}', 201, b"hi"),
        (b'{"statusCode": 204}', 204, b""),
        (b'{"any": "thing"}', 200, b'{"any": "thing"}'),
        (b'"text"', 200, b"text"),
        (b"no json", 500, b'{"message": "Internal Server Error"}'),
    ],
    ids=["base64", "no body", "no status", "text", "rubbish"],
)
def test_a_functions_result_becomes_http_as_api_gateway_does_it(
    payload: bytes, status: int, body: bytes
) -> None:
    found = answer(payload)
    assert (found.status, found.body) == (status, body)
