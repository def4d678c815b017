"""A small deployment for the router's tests: two models, a key, and tiers that answer as they are told."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.prediction import PredictRequest, TierAnswer
from contracts.routes import Route, Routes, Target, key_hash
from contracts.tasks import Task, Tier
from functions.router.app import create_app
from functions.router.gateway import behind_gateway
from functions.router.registry import Registry
from turnout.laptop import ROOT

KEY = "test-key"
PREDICT = "/v1/models/support-intent/predict"
ASSETS = ROOT / "node_modules/swagger-ui-dist"
EVENT: dict[str, Any] = json.loads(
    Path(__file__).with_name("events").joinpath("predict.json").read_text("utf-8")
)


def target(tier: Tier, **changes: Any) -> Target:
    """A copy that takes 4 inputs and 100 characters on the CPU, ten times as much on the GPU."""
    factor = 1 if tier is Tier.CPU else 10
    defaults: dict[str, Any] = {
        "tier": tier,
        "address": f"the-{tier}",
        "version": f"{tier}0000000000",
        "precision": "int8" if tier is Tier.CPU else "fp32",
        "max_inputs": 4 * factor,
        "max_chars": 100 * factor,
        "max_tokens": 128,
        "timeout_s": 1,
    }
    return Target(**{**defaults, **changes})


INTENTS = Route(
    model="support-intent",
    task=Task.TEXT_CLASSIFICATION,
    targets={tier: target(tier) for tier in Tier},
    labels=("order-status", "refund-status"),
)
VECTORS = Route(
    model="sentence-embedding",
    task=Task.FEATURE_EXTRACTION,
    targets={Tier.CPU: target(Tier.CPU, max_inputs=1000, max_chars=100_000)},
    dimensions=384,
)
ROUTES = Routes(
    deployment="shop",
    registry="shop-registry",
    models={route.model: route for route in (INTENTS, VECTORS)},
    key_hashes={"ci": key_hash(KEY), "app": key_hash("another-key")},
)


@dataclass(slots=True)
class Told:
    """A tier that answers every text with the same label, or raises what it is told to; keeps what it was asked."""

    error: Exception | None = None
    asked: list[tuple[Target, PredictRequest]] = field(default_factory=list)

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer:
        self.asked.append((target, request))
        if self.error:
            raise self.error
        output = {"label": "order-status", "score": 0.75, "tokens": 5, "truncated": False}
        return TierAnswer(
            outputs=(output,) * len(request.inputs), version="f00dfeed0000", elapsed_ms=1.5
        )


@dataclass(slots=True)
class Rows:
    """A registry of the rows it was given, or one that cannot be read."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None

    def releases(self, model: str) -> list[dict[str, Any]]:
        if self.error:
            raise self.error
        return [row for row in self.rows if row["model"] == model]


Ask = Callable[..., dict[str, Any]]


def router(tiers: Mapping[Tier, Told], registry: Registry | None = None) -> Ask:
    """The whole router behind Mangum: a function from what is asked to the gateway's response."""
    app = create_app(ROUTES, tiers, registry or Rows(), ASSETS)
    handler: Any = behind_gateway(app)

    def ask(method: str, path: str, body: str | None = None, **changes: Any) -> dict[str, Any]:
        return dict(handler(event(method, path, body, **changes), None))

    return ask


def event(
    method: str,
    path: str,
    body: str | None = None,
    *,
    key: str | None = f"Bearer {KEY}",
    base64: bool = False,
) -> dict[str, Any]:
    """API Gateway's event (HTTP API, payload 2.0) for a request."""
    http = {**EVENT["requestContext"]["http"], "method": method, "path": path}
    headers = {name: value for name, value in EVENT["headers"].items() if name != "authorization"}
    if key is not None:
        headers["authorization"] = key
    return {
        **EVENT,
        "rawPath": path,
        "headers": headers,
        "requestContext": {**EVENT["requestContext"], "http": http},
        "body": body,
        "isBase64Encoded": base64,
    }


def problem(response: dict[str, Any]) -> tuple[int, str, str]:
    """The status, kind and detail of a problem document; fails for any other answer."""
    body = json.loads(response["body"])
    assert response["headers"]["content-type"] == "application/problem+json"
    assert response["isBase64Encoded"] is False
    assert body["status"] == response["statusCode"]
    assert "Traceback" not in response["body"]
    return response["statusCode"], body["type"].removeprefix("urn:turnout:problem:"), body["detail"]
