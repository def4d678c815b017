"""The HTTPS front: routes, events, limits and error bodies as API Gateway has them."""

import base64
import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.events import answer
from stacks.router import ACCESS_LOG
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.router_app import EVENT

# The cold start of a function takes some seconds on a busy machine.
TIMEOUT_S = 8
LIMITS = {"ThrottlingRateLimit": 100, "ThrottlingBurstLimit": 100}
FORMAT = json.dumps(ACCESS_LOG)


@pytest.fixture(scope="module")
def gateway_timeout_s() -> float:
    return TIMEOUT_S


@pytest.fixture(scope="module", autouse=True)
def apis(local_cloud: LocalCloudClient) -> None:
    """Make an API for each kind of function; the id of each is in `local_cloud.made`, by the name of its function."""
    for handler in ("api", "slow", "fails", "crash"):
        add_api(local_cloud, handler, local_cloud.function(handler, handler, timeout_s=20))


def add_api(
    local_cloud: LocalCloudClient, name: str, function: str, route: str = "$default"
) -> None:
    api = local_cloud.client("apigatewayv2")
    local_cloud.made[name] = made = api.create_api(Name=name, ProtocolType="HTTP")["ApiId"]
    integration = api.create_integration(
        ApiId=made,
        IntegrationType="AWS_PROXY",
        IntegrationUri=f"arn:aws:lambda:{local_cloud.cloud.region}:123456789012:function:{function}",
        PayloadFormatVersion="2.0",
    )["IntegrationId"]
    api.create_route(ApiId=made, RouteKey=route, Target=f"integrations/{integration}")
    api.create_stage(
        ApiId=made,
        StageName="$default",
        AutoDeploy=True,
        DefaultRouteSettings=LIMITS,
        AccessLogSettings={"DestinationArn": "arn:aws:logs:x:x:log-group:x", "Format": FORMAT},
    )
    region = local_cloud.cloud.region
    local_cloud.client("lambda").add_permission(
        FunctionName=function,
        StatementId=f"of-{name}",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{region}:123456789012:{made}/*/*",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: Any


def ask(
    local_cloud: LocalCloudClient,
    method: str,
    path: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    api: str = "api",
) -> Answer:
    host = {"Host": f"{local_cloud.made[api]}.execute-api.localhost"}
    url = urlsplit(local_cloud.cloud.url)
    context = ssl.create_default_context(cafile=str(local_cloud.cloud.ca_file))
    connection = http.client.HTTPSConnection(
        str(url.hostname), url.port, context=context, timeout=30
    )
    try:
        connection.request(method, path, body, {**host, **(headers or {})})
        found = connection.getresponse()
        return Answer(
            status=found.status, headers=found.getheaders(), body=json.loads(found.read())
        )
    finally:
        connection.close()


def test_an_event_is_shaped_as_api_gateways(local_cloud: LocalCloudClient) -> None:
    headers = {"X-Twice": "a", "Cookie": "s=1; t=2", "User-Agent": "local_cloud"}
    found = ask(
        local_cloud, "POST", "/a%20b/c?x=1&x=2&y=", b'{"inputs": "gr\xc3\xbc\xc3\x9fe"}', headers
    )
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
        "local_cloud",
    )
    assert (event["body"], event["isBase64Encoded"]) == ('{"inputs": "grüße"}', False)
    assert (event["routeKey"], event["requestContext"]["http"]["method"]) == ("$default", "POST")


def test_an_answers_status_headers_and_cookies_arrive(local_cloud: LocalCloudClient) -> None:
    found = ask(local_cloud, "GET", "/api")
    named = [(name.lower(), value) for name, value in found.headers]
    assert found.body["routeKey"] == "$default"
    assert [value for name, value in named if name == "set-cookie"] == ["a=1", "b=2"]
    assert ("content-type", "application/json") in named


def logged(local_cloud: LocalCloudClient, api: str) -> dict[str, str]:
    """Return the last line of an API's access log, which is written before the answer is sent."""
    path = local_cloud.cloud.state / "logs" / f"{api}-access.log"
    found: dict[str, str] = json.loads(path.read_text("utf-8").splitlines()[-1])
    return found


def test_the_access_log_has_a_line_in_the_stages_format(local_cloud: LocalCloudClient) -> None:
    found = ask(local_cloud, "POST", "/a%22b", b"{}")
    line = logged(local_cloud, "api")
    assert line.pop("request_id") == found.body["requestContext"]["requestId"]
    assert 0 <= int(line.pop("router_ms")) <= int(line.pop("ms"))
    assert int(line.pop("time_ms")) > 1.7e12
    assert int(line.pop("bytes")) > 100
    assert line == {
        "ip": "127.0.0.1",
        "method": "POST",
        "path": "/a%22b",
        "status": "200",
        "router_status": "200",
        "router_error": "-",
        "gateway_error": "-",
    }


def test_the_access_log_says_why_the_gateway_answered_itself(local_cloud: LocalCloudClient) -> None:
    assert ask(local_cloud, "GET", "/", api="fails").status == 500
    line = logged(local_cloud, "fails")
    shown = [line[name] for name in ("status", "router_status", "router_error", "gateway_error")]
    assert shown == ["500", "-", "The function failed; its log says more", "Internal Server Error"]


def test_a_function_without_a_permission_for_its_api_is_not_invoked(
    local_cloud: LocalCloudClient,
) -> None:
    add_api(local_cloud, "stranger", local_cloud.function("stranger", "api"))
    assert ask(local_cloud, "GET", "/", api="stranger").status == 200
    local_cloud.client("lambda").remove_permission(
        FunctionName="stranger", StatementId="of-stranger"
    )
    refused = ask(local_cloud, "GET", "/", api="stranger")
    assert (refused.status, refused.body) == (500, {"message": "Internal Server Error"})
    log = (local_cloud.cloud.state / "logs/stranger-access.log").read_text("utf-8")
    assert (
        "apigateway.amazonaws.com may not invoke"
        in json.loads(log.splitlines()[-1])["router_error"]
    )


def test_a_body_that_is_not_text_comes_as_base64(local_cloud: LocalCloudClient) -> None:
    event = ask(local_cloud, "POST", "/", b"\xff\xfe").body
    assert (base64.b64decode(event["body"]), event["isBase64Encoded"]) == (b"\xff\xfe", True)


@pytest.mark.parametrize(
    ("api", "body", "status", "message"),
    [
        ("slow", b'{"seconds": 5}', 500, "Internal Server Error"),
        ("fails", b"{}", 500, "Internal Server Error"),
        ("crash", b"", 500, "Internal Server Error"),
        ("api", b"x" * (7 * 2**20), 413, "Request Entity Too Large"),
        ("api", b"x" * (11 * 2**20), 413, "Request Entity Too Large"),
    ],
    ids=["wrong event", "exception", "crash", "7 MB", "11 MB"],
)
def test_what_the_gateway_answers_itself_has_its_own_body(
    local_cloud: LocalCloudClient, api: str, body: bytes, status: int, message: str
) -> None:
    found = ask(local_cloud, "POST", "/", body, api=api)
    assert (found.status, found.body) == (status, {"message": message})


def test_a_function_that_hangs_is_given_up_on(local_cloud: LocalCloudClient) -> None:
    code = "import time\ndef api(event, context): time.sleep(60)"
    hangs = local_cloud.function("hangs", "api", timeout_s=60, code=code)
    add_api(local_cloud, "hangs", hangs)
    found = ask(local_cloud, "GET", "/", api="hangs")
    assert (found.status, found.body) == (503, {"message": "Service Unavailable"})
    assert ask(local_cloud, "GET", "/api").status == 200


def throttle(local_cloud: LocalCloudClient, rate: float, burst: int) -> None:
    api, stage = (
        local_cloud.client("apigatewayv2"),
        {"ApiId": local_cloud.made["api"], "StageName": "$default"},
    )
    api.delete_stage(**stage)
    limits = {"ThrottlingRateLimit": rate, "ThrottlingBurstLimit": burst}
    api.create_stage(**stage, AutoDeploy=True, DefaultRouteSettings=limits)


def test_more_requests_than_the_stage_allows_are_refused(local_cloud: LocalCloudClient) -> None:
    throttle(local_cloud, 0.001, 3)
    found = [ask(local_cloud, "GET", "/api") for _ in range(5)]
    throttle(local_cloud, 100, 100)
    assert [answer.status for answer in found] == [200, 200, 200, 429, 429]
    assert found[-1].body == {"message": "Too Many Requests"}


def test_the_certificate_is_good_for_its_own_authority_alone(local_cloud: LocalCloudClient) -> None:
    url = urlsplit(local_cloud.cloud.url)
    stranger = http.client.HTTPSConnection(
        str(url.hostname), url.port, context=ssl.create_default_context()
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.request("GET", "/")
    stranger.close()


def test_without_a_default_route_nothing_is_found(local_cloud: LocalCloudClient) -> None:
    add_api(local_cloud, "pets", "api", "GET /pets")
    found = ask(local_cloud, "GET", "/pets", api="pets")
    assert (found.status, found.body) == (404, {"message": "Not Found"})


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
