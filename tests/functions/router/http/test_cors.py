"""Cross-origin requests: as a browser sends them, and what it reads of the answers."""

from dataclasses import replace
from typing import Any

import pytest

from contracts.http_errors import ModelFailed
from contracts.tasks import Tier
from tests.fixtures.router_app import EVENT, PREDICT, ROUTES, Call, FakeTier, assert_problem, router

APP, OTHER = "https://app.example.com", "https://app.example.com.evil.example"
ALLOWED, EXPOSED = "access-control-allow-origin", "access-control-expose-headers"


def browser(*origins: str, error: Exception | None = None) -> Call:
    """Return a router that these origins may call, as a function from a browser's request to the answer."""
    call = router(
        {tier: FakeTier(error=error) for tier in Tier},
        routes=replace(ROUTES, cors_origins=origins),
    )

    def send(method: str, path: str, origin: str, body: str | None = None, **more: Any) -> Any:
        headers = {"origin": origin, **more.pop("headers", {})}
        return call(method, path, body, headers=headers, **more)

    return send


def preflight(send: Call, origin: str, path: str = PREDICT) -> dict[str, Any]:
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    # A browser sends no key with a preflight.
    return send("OPTIONS", path, origin, headers=asked, key=None)


def cors_headers(response: dict[str, Any]) -> dict[str, str]:
    return {k: v for k, v in response["headers"].items() if k.startswith("access-control-")}


@pytest.mark.parametrize("path", [PREDICT, "/v1/models", "/v1/models/nope", "/nope"])
def test_a_preflight_of_an_allowed_origin_is_answered_without_a_key(path: str) -> None:
    response = preflight(browser("https://other.example", APP), APP, path)
    assert (response["statusCode"], response["body"]) == (204, "")
    assert cors_headers(response) == {
        ALLOWED: APP,
        EXPOSED: "Retry-After, X-Request-Id",
        "access-control-allow-methods": "GET, HEAD, POST",
        "access-control-allow-headers": "Authorization, Content-Encoding, Content-Type",
        "access-control-max-age": "7200",
    }
    assert response["headers"]["vary"] == "Origin"
    assert response["headers"]["x-request-id"] == EVENT["requestContext"]["requestId"]


@pytest.mark.parametrize(
    ("origins", "origin"),
    [
        ((), APP),
        ((), "null"),
        ((APP,), OTHER),
        ((APP,), "http://app.example.com"),
        ((APP,), APP + ":8443"),
        ((APP,), "https://APP.example.com"),
        ((APP,), "null"),
        ((APP,), ""),
        ((APP,), "*"),
        ((APP,), f"{APP}, {OTHER}"),
    ],
)
def test_a_preflight_of_another_origin_is_refused_like_any_options(
    origins: tuple[str, ...], origin: str
) -> None:
    response = preflight(browser(*origins), origin)
    assert_problem(response, 405, "about:blank", "OPTIONS")
    assert response["headers"]["allow"] == "POST"
    assert cors_headers(response) == {}


@pytest.mark.parametrize(
    ("method", "path", "body", "key", "status"),
    [
        ("POST", PREDICT, '{"inputs": "a"}', "Bearer test-key", 200),
        ("POST", PREDICT, "{", "Bearer test-key", 400),
        ("POST", PREDICT, '{"inputs": "a"}', None, 401),
        ("POST", "/v1/models/nope/predict", "{}", "Bearer test-key", 404),
        ("POST", PREDICT, '{"inputs": 1}', "Bearer test-key", 422),
        ("DELETE", PREDICT, None, "Bearer test-key", 405),
        ("OPTIONS", PREDICT, None, "Bearer test-key", 405),
        ("HEAD", "/v1/models", None, "Bearer test-key", 200),
        ("GET", "/nope", None, None, 404),
        ("GET", "/docs", None, None, 200),
    ],
)
def test_every_answer_to_an_allowed_origin_can_be_read_by_its_scripts(
    method: str, path: str, body: str | None, key: str | None, status: int
) -> None:
    send = browser(APP)
    response = send(method, path, APP, body, key=key)
    assert response["statusCode"] == status
    assert cors_headers(response) == {ALLOWED: APP, EXPOSED: "Retry-After, X-Request-Id"}
    assert response["headers"]["vary"] == "Origin"
    other = send(method, path, OTHER, body, key=key)
    assert (other["statusCode"], cors_headers(other)) == (status, {})
    # A cache that keeps the answer to the other origin must not give it to the allowed one.
    assert other["headers"]["vary"] == "Origin"


@pytest.mark.parametrize("error", [ModelFailed("no"), ZeroDivisionError()], ids=["tier", "ours"])
def test_failures_can_be_read_too(error: Exception) -> None:
    response = browser(APP, error=error)("POST", PREDICT, APP, '{"inputs": "a"}')
    assert response["statusCode"] in (500, 502)
    assert response["headers"][ALLOWED] == APP


def test_any_origin_may_call_where_any_is_allowed() -> None:
    send = browser("*")
    for origin in (APP, OTHER, "null"):
        assert cors_headers(preflight(send, origin))[ALLOWED] == "*"
        response = send("GET", "/v1/models", origin)
        assert (response["statusCode"], response["headers"][ALLOWED]) == (200, "*")
        assert "vary" not in response["headers"]
    # Never: with it, a browser would send its cookies.
    assert "access-control-allow-credentials" not in preflight(send, APP)["headers"]


def test_by_default_no_answer_speaks_of_origins() -> None:
    response = browser()("POST", PREDICT, APP, '{"inputs": "a"}')
    assert response["statusCode"] == 200
    assert {name for name in response["headers"] if "origin" in name or name == "vary"} == set()
