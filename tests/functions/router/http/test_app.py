"""The router as API Gateway calls it: a complete event in, a complete response out."""

import base64
import json
import logging
from typing import Any

import pytest

from contracts.http_errors import DeadlineExceeded, ModelFailed, RequestProblem, TierUnavailable
from contracts.tasks import Tier
from tests.fixtures.problems import assert_request_problems
from tests.fixtures.router_app import (
    EVENT,
    INTENTS,
    KEY,
    PREDICT,
    Call,
    FakeTier,
    assert_problem,
    problem,
    router,
)

SECRET = "my card is 4111"


@pytest.fixture
def tiers() -> dict[Tier, FakeTier]:
    return {tier: FakeTier() for tier in Tier}


@pytest.fixture
def call(tiers: dict[Tier, FakeTier]) -> Call:
    return router(tiers)


def test_an_answer_names_its_tier_its_reason_its_model_and_its_version(
    call: Call, tiers: dict[Tier, FakeTier]
) -> None:
    response = call("POST", PREDICT, '{"inputs": ["one", "two"], "parameters": {"top_k": 1}}')
    output = {"label": "order-status", "score": 0.75, "tokens": 5, "truncated": False}
    assert json.loads(response["body"]) == {
        "model": "support-intent",
        "version": "f00dfeed0000",
        "tier": "cpu",
        "reason": "fits_cpu",
        "outputs": [output, output],
        "elapsed_ms": 1.5,
    }
    assert (response["statusCode"], response["isBase64Encoded"]) == (200, False)
    assert response["headers"]["content-type"] == "application/json"
    assert response["headers"]["x-request-id"] == EVENT["requestContext"]["requestId"]
    assert tiers[Tier.GPU].requests == []
    ((target, sent),) = tiers[Tier.CPU].requests
    assert target == INTENTS.targets[Tier.CPU]
    # The tier gets its own time, since the caller names none.
    wire = {"inputs": ["one", "two"], "parameters": {"top_k": 1}, "deadline_ms": 20_000}
    assert sent.to_wire() == wire


@pytest.mark.parametrize(
    ("body", "tier", "reason"),
    [
        ({"inputs": "one text"}, "cpu", "fits_cpu"),
        ({"inputs": ["a"] * 5}, "gpu", "fits_gpu"),
        ({"inputs": ["a"], "tier": "gpu"}, "gpu", "pinned"),
    ],
    ids=["a text", "a batch", "pinned"],
)
def test_the_rules_choose_the_tier_that_is_invoked(
    call: Call, tiers: dict[Tier, FakeTier], body: dict[str, Any], tier: str, reason: str
) -> None:
    answer = json.loads(call("POST", PREDICT, json.dumps(body))["body"])
    assert (answer["tier"], answer["reason"]) == (tier, reason)
    assert {name: len(fake.requests) for name, fake in tiers.items()} == {
        Tier(tier): 1,
        **{other: 0 for other in Tier if other != tier},
    }


def test_a_body_may_come_as_base64(call: Call) -> None:
    body = base64.b64encode('{"inputs": "größer"}'.encode()).decode()
    assert call("POST", PREDICT, body, base64=True)["statusCode"] == 200


@pytest.mark.parametrize(
    ("body", "status", "kind", "things"),
    [
        (
            None,
            400,
            "malformed-request",
            ("JSON", "line 1, column 1"),
        ),
        (
            "{",
            400,
            "malformed-request",
            ("JSON", "line 1, column 2"),
        ),
        (
            '{"inputs": Infinity}',
            400,
            "malformed-request",
            ("JSON", "Infinity"),
        ),
        (
            "[]",
            422,
            "invalid-input",
            ("JSON object",),
        ),
        ('{"inputs": []}', 422, "invalid-input", ("/inputs: ", "empty")),
        ('{"inputs": ["a"], "tier": "tpu"}', 422, "invalid-input", ("/tier: ", '"cpu"', '"gpu"')),
        (
            '{"inputs": [1, null], "x": 1}',
            422,
            "invalid-input",
            ("/x: ", "unknown", "2 more"),
        ),
    ],
    ids=["no body", "cut", "Infinity", "a list", "empty", "no such tier", "many problems"],
)
def test_a_bad_body_is_answered_with_a_problem(
    call: Call,
    tiers: dict[Tier, FakeTier],
    body: str | None,
    status: int,
    kind: str,
    things: tuple[str, ...],
) -> None:
    assert_problem(call("POST", PREDICT, body), status, kind, *things)
    assert [fake.requests for fake in tiers.values()] == [[], []]


def test_every_problem_is_reported_with_its_place(call: Call) -> None:
    response = call("POST", PREDICT, '{"inputs": [1, ""], "tier": 3, "parameters": [], "y/z": 1}')
    assert_request_problems(
        [RequestProblem(**error) for error in json.loads(response["body"])["errors"]],
        ("/y~1z", "unknown", "inputs, parameters, tier"),
        ("/inputs/0", "must be"),
        ("/inputs/1", "empty"),
        ("/parameters", "object"),
        ("/tier", '"cpu"', '"gpu"'),
    )


def test_bytes_that_are_not_utf_8_are_named_by_their_place(call: Call) -> None:
    body = base64.b64encode(b'{"inputs": "\xff"}').decode()
    response = call("POST", PREDICT, body, base64=True)
    assert_problem(response, 400, "malformed-request", "UTF-8", "byte 12")


def test_ten_thousand_inputs_are_refused_and_no_tier_is_invoked(
    call: Call, tiers: dict[Tier, FakeTier]
) -> None:
    response = call("POST", PREDICT, json.dumps({"inputs": ["a"] * 10_000}))
    assert problem(response)[:2] == (413, "too-large")
    assert [fake.requests for fake in tiers.values()] == [[], []]


def test_a_body_over_the_gateways_limit_is_refused(call: Call) -> None:
    body = json.dumps({"inputs": "a" * 10 * 2**20})
    assert_problem(call("POST", PREDICT, body), 413, "too-large", "10 MB")


def test_an_unknown_model_is_answered_with_those_that_are_there(call: Call) -> None:
    response = call("POST", "/v1/models/nope/predict", '{"inputs": "a"}')
    deployed = "support-intent, sentence-embedding"
    assert_problem(response, 404, "unknown-model", "'nope'", deployed)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models", 404),
        ("GET", PREDICT, 405),
        ("DELETE", "/v1/models", 405),
        ("GET", "/docs/assets/../x", 404),
    ],
    ids=["path", "method", "delete", "outside"],
)
def test_what_is_not_part_of_the_api_is_a_problem_too(
    call: Call, method: str, path: str, status: int
) -> None:
    assert_problem(call(method, path), status, "about:blank", f"{method} {path} ", "GET /docs")


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (ModelFailed("the container failed"), 502, None),
        (TierUnavailable("the cpu tier is waking up", retry_after_s=5), 503, "5"),
        (DeadlineExceeded("no answer in 1 s"), 504, None),
    ],
    ids=["failed", "unavailable", "late"],
)
def test_a_tiers_failure_keeps_its_status(error: Exception, status: int, retry: str | None) -> None:
    response = router({tier: FakeTier(error=error) for tier in Tier})(
        "POST", PREDICT, '{"inputs": "a"}'
    )
    assert problem(response)[::2] == (status, str(error))
    assert response["headers"].get("retry-after") == retry


def test_a_defect_of_ours_is_a_problem_with_a_number_and_a_trace_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing = router({Tier.CPU: FakeTier(error=ZeroDivisionError("secret")), Tier.GPU: FakeTier()})
    with caplog.at_level(logging.ERROR, "turnout.router"):
        response = failing("POST", PREDICT, '{"inputs": "a"}')
    number = response["headers"]["x-request-id"]
    assert problem(response) == (500, "internal-error", f"request {number} failed")
    assert caplog.messages == [f"request {number} failed"]
    assert "ZeroDivisionError" in caplog.text


def test_the_log_has_one_line_with_the_decision_and_no_text_and_no_key(
    call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "turnout.access"):
        response = call("POST", PREDICT, json.dumps({"inputs": [SECRET]}))
        call("POST", PREDICT, json.dumps({"inputs": [SECRET, 3]}))
    good, bad = (json.loads(message) for message in caplog.messages)
    assert good.pop("ms") >= 0
    assert good.pop("_aws")["Timestamp"] > 1.7e12
    assert good == {
        "deployment": "shop",
        "errors": 0,
        "request_id": response["headers"]["x-request-id"],
        "method": "POST",
        "path": PREDICT,
        # The name of the key.
        "key": "ci",
        "model": "support-intent",
        "tier": "cpu",
        "reason": "fits_cpu",
        "inputs": 1,
        "status": 200,
    }
    assert (bad["status"], bad["problem"]) == (422, "invalid_input")
    assert "4111" not in caplog.text
    assert KEY not in caplog.text
    assert "test-key" not in caplog.text


def test_health_needs_no_key_and_invokes_no_tier(call: Call, tiers: dict[Tier, FakeTier]) -> None:
    response = call("GET", "/health", key=None)
    assert (response["statusCode"], json.loads(response["body"])) == (200, {"status": "ok"})
    assert [fake.requests for fake in tiers.values()] == [[], []]
