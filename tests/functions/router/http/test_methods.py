"""Methods and paths: HEAD wherever there is GET, and a problem document for whatever is not part of the API."""

import base64
import gzip
import json
from typing import Any

import pytest

from contracts.docs.assets import DOCS_ASSETS
from contracts.tasks import Tier
from tests.fixtures.router_app import (
    PREDICT,
    Call,
    FakeTier,
    assert_problem,
    problem,
    router,
)

OPEN = ("/health", "/docs", "/docs/start.js", "/openapi.json")
ASSETS = tuple(f"/docs/assets/{name}" for name in DOCS_ASSETS)
MODELS = ("/v1/models", "/v1/models/support-intent")


@pytest.fixture(scope="module")
def call() -> Call:
    return router({tier: FakeTier() for tier in Tier})


def without_id(response: dict[str, Any]) -> dict[str, Any]:
    headers = {k: v for k, v in response["headers"].items() if k != "x-request-id"}
    return {**response, "headers": headers}


@pytest.mark.parametrize("path", [*OPEN, *ASSETS, *MODELS])
def test_head_has_the_status_and_the_headers_of_get_and_no_body(call: Call, path: str) -> None:
    got = without_id(call("GET", path))
    assert got["statusCode"] == 200
    assert len(got["body"]) > 1
    assert without_id(call("HEAD", path)) == {**got, "body": "", "isBase64Encoded": False}


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/v1/models", None, 401),
        ("/v1/models/nope", "Bearer test-key", 404),
        ("/nope", None, 404),
        ("/docs/assets/%2e%2e", None, 404),
        (PREDICT, "Bearer test-key", 405),
    ],
)
def test_head_fails_as_get_does(call: Call, path: str, key: str | None, status: int) -> None:
    got, head = (without_id(call(method, path, key=key)) for method in ("GET", "HEAD"))
    problem(got)
    assert (head["statusCode"], head["body"]) == (status, "")
    assert head["headers"] == got["headers"]


@pytest.mark.parametrize("path", [*OPEN, ASSETS[0], *MODELS])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_a_method_that_a_path_lacks_is_refused_with_those_it_has(
    call: Call, method: str, path: str
) -> None:
    response = call(method, path, "{}")
    assert_problem(response, 405, "about:blank", method, path, "GET /docs")
    assert response["headers"]["allow"] == "GET, HEAD"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "get"])
def test_predict_takes_post_alone(call: Call, method: str) -> None:
    response = call(method, PREDICT)
    assert_problem(response, 405, "about:blank", method)
    assert response["headers"]["allow"] == "POST"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "//",
        "/v1/models/",
        "/health/",
        PREDICT + "/",
        "/V1/models",
        "/docs/assets/..%2fpackage.json",
        "/v1/models/a%2Fb",
        "/%ff%fe",
        "/%ED%A0%80",
        "/\ud800",
        "/%00%0d%0aSet-Cookie:x",
        "/" + "x" * 9_000,
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_path_that_is_not_part_of_the_api_is_a_problem(
    call: Call, method: str, path: str
) -> None:
    response = call(method, path)
    assert_problem(response, 404, "about:blank", method, "GET /docs")
    assert len(response["body"]) < 1_500
    assert "location" not in response["headers"]


@pytest.mark.parametrize("model", ["\ud800", "%ff", "x" * 9_000, "%00", "'\"<script>"])
def test_any_name_of_a_model_is_answered(call: Call, model: str) -> None:
    response = call("POST", f"/v1/models/{model}/predict", '{"inputs": "a"}')
    assert_problem(response, 404, "unknown-model", "support-intent")
    assert len(response["body"]) < 1_500


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "a:b"},
        {"host": "[::1]:8443"},
        {"host": "["},
        {"x-forwarded-port": "443, 80"},
        {"x-forwarded-port": "x", "Host": ""},
        {"range": "bytes=9-1"},
        {"range": "pages=x"},
        {"content-encoding": "br"},
        {"if-none-match": "*"},
        {"content-type": "multipart/form-data"},
        {"accept": "image/png"},
        {"cookie": "\x00"},
    ],
)
def test_headers_that_nothing_reads_change_no_answer(call: Call, headers: dict[str, str]) -> None:
    for path in ("/health", ASSETS[0], "/v1/models"):
        assert call("GET", path, headers=headers)["statusCode"] == 200


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", "image/png", ""]
)
def test_a_body_is_read_as_json_whatever_its_type_says(call: Call, kind: str) -> None:
    headers = {"content-type": kind}
    assert call("POST", PREDICT, '{"inputs": "a"}', headers=headers)["statusCode"] == 200
    assert_problem(
        call("POST", PREDICT, "inputs=a", headers=headers), 400, "malformed-request", "JSON"
    )


@pytest.mark.parametrize(
    ("content", "encoding", "status", "kind"),
    [
        (gzip.compress(b'{"inputs": "a"}'), "gzip", 200, ""),
        (gzip.compress(b'{"inp') + gzip.compress(b'uts": "a"}'), "x-gzip", 200, ""),
        (gzip.compress(b'{"inputs": "a"}')[:-3], "gzip", 400, "malformed-request"),
        (gzip.compress(b'{"inputs": "a"}') + b"more", "gzip", 400, "malformed-request"),
        (gzip.compress(b'{"inputs": "a", "inputs": "b"}'), "gzip", 400, "malformed-request"),
        (b'{"inputs": "a"}', "gzip", 400, "malformed-request"),
        (b"", "gzip", 400, "malformed-request"),
        (gzip.compress(b" " * 10 * 2**20 + b"1"), "gzip", 413, "too-large"),
        (b'{"inputs": "a"}', "br", 415, "unsupported-encoding"),
        (gzip.compress(gzip.compress(b"{}")), "gzip, gzip", 415, "unsupported-encoding"),
    ],
    ids=[
        "gzip",
        "two members",
        "cut",
        "more behind",
        "key twice",
        "plain",
        "empty",
        "bomb",
        "brotli",
        "twice",
    ],
)
def test_a_compressed_body_is_inflated_as_the_gateway_hands_it_over(
    call: Call, content: bytes, encoding: str, status: int, kind: str
) -> None:
    body = base64.b64encode(content).decode()
    response = call("POST", PREDICT, body, base64=True, headers={"content-encoding": encoding})
    if status == 200:
        assert json.loads(response["body"])["outputs"][0]["label"] == "order-status"
    else:
        assert_problem(response, status, kind)
        assert response["headers"].get("accept-encoding") == ("gzip" if status == 415 else None)


def test_a_compressed_body_that_became_text_on_its_way_says_how_to_send_it(call: Call) -> None:
    text = gzip.compress(b'{"inputs": "a"}').decode("utf-8", "replace")
    response = call("POST", PREDICT, text, headers={"content-encoding": "gzip"})
    assert_problem(response, 400, "malformed-request", "application/octet-stream")


def test_without_a_key_no_body_is_inflated(call: Call) -> None:
    response = call("POST", PREDICT, "{}", key=None, headers={"content-encoding": "br"})
    assert problem(response)[:2] == (401, "unauthorized")
