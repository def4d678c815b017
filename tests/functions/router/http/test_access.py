"""Authorization, and the list of models."""

import json
import logging

import pytest

from contracts.keys import key_hash
from contracts.tasks import Tier
from tests.fixtures.router_app import (
    PREDICT,
    ROUTES,
    Call,
    FakeTier,
    Rows,
    assert_problem,
    log_line,
    router,
)


@pytest.fixture
def call() -> Call:
    return router({tier: FakeTier() for tier in Tier})


@pytest.mark.parametrize(
    ("key", "detail"),
    [
        (None, "`turnout keys add`"),
        ("", "`turnout keys add`"),
        ("Bearer ", "`turnout keys add`"),
        ("Basic dGVzdC1rZXk=", "`turnout keys add`"),
        ("Bearer other", "not known"),
        ("Bearer test-ke", "not known"),
        (f"Bearer {ROUTES.key_hashes['ci']}", "not known"),
    ],
    ids=["none", "empty", "no key", "another scheme", "unknown", "cut", "its hash"],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PREDICT),
        ("POST", "/v1/models/nope/predict"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/support-intent"),
    ],
    ids=["predict", "unknown", "list", "describe"],
)
def test_without_a_key_nothing_is_answered(
    call: Call, key: str | None, detail: str, method: str, path: str
) -> None:
    response = call(method, path, '{"inputs": "a"}' if method == "POST" else None, key=key)
    assert_problem(response, 401, "unauthorized", detail)
    assert response["headers"]["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("key", "name"),
    [("Bearer test-key", "ci"), ("bearer  test-key ", "ci"), ("Bearer another-key", "app")],
)
def test_every_key_of_the_deployment_opens_and_the_log_names_it(
    call: Call, caplog: pytest.LogCaptureFixture, key: str, name: str
) -> None:
    with caplog.at_level(logging.INFO, "turnout.access"):
        assert call("POST", PREDICT, '{"inputs": "a"}', key=key)["statusCode"] == 200
        assert log_line(caplog)["key"] == name
        assert call("GET", "/v1/models", key=key)["statusCode"] == 200
    assert json.loads(caplog.messages[-1])["key"] == name
    # Its name alone.
    secret = key.split()[-1]
    assert not any(secret in line or key_hash(secret) in line for line in caplog.messages)


def test_of_a_caller_without_a_key_no_name_is_logged(
    call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "turnout.access"):
        call("GET", "/v1/models", key="Bearer other")
    assert "key" not in json.loads(caplog.messages[-1])


def test_the_list_of_models_has_openais_shape_and_the_deployed_releases() -> None:
    rows = [
        {
            "model": "support-intent",
            "tier": "cpu",
            "version": "cpu0000000000",
            "deployed_at": 1790000000,
        },
        {
            "model": "support-intent",
            "tier": "gpu",
            "version": "an-older-one",
            "deployed_at": 1780000000,
        },
    ]
    call = router({tier: FakeTier() for tier in Tier}, Rows(rows))
    body = json.loads(call("GET", "/v1/models")["body"])
    first, second = body["data"]
    assert (body["object"], [first["id"], second["id"]]) == (
        "list",
        ["support-intent", "sentence-embedding"],
    )
    tiers = first.pop("tiers")
    assert first == {
        "id": "support-intent",
        "object": "model",
        "created": 1790000000,
        "owned_by": "turnout",
        "task": "text-classification",
        "labels": ["order-status", "refund-status"],
        "dimensions": None,
        "shorter_dimensions": [],
        "cascade": None,
        "split": None,
        "chat": False,
    }
    assert tiers[0] == {
        "tier": "cpu",
        "version": "cpu0000000000",
        "precision": "int8",
        "proved": True,
        "max_inputs": 4,
        "max_chars": 100,
        "max_tokens": 128,
        "deployed": True,
        "deployed_at": 1790000000,
        "serving": [{"version": "cpu0000000000", "percent": 100}],
        "state": "ready",
        "latency_ms": {},
        "observed_token_ms": None,
    }
    assert (tiers[1]["deployed"], tiers[1]["deployed_at"]) == (False, None)
    assert (second["created"], second["dimensions"]) == (0, 384)
    assert second["shorter_dimensions"] == [128]
    assert json.loads(call("GET", "/v1/models/support-intent")["body"]) == {**first, "tiers": tiers}


def test_a_registry_that_cannot_be_read_leaves_the_rest_standing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    call = router({tier: FakeTier() for tier in Tier}, Rows(error=TimeoutError()))
    with caplog.at_level(logging.ERROR, "turnout.router"):
        body = json.loads(call("GET", "/v1/models/sentence-embedding")["body"])
    assert (body["id"], body["tiers"][0]["deployed"]) == ("sentence-embedding", None)
    assert caplog.messages == ["the registry cannot be read"]
