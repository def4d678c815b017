"""A deployment of models that write, one of them in chats, and one that embeds, and OpenAI's client over the router."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
from openai import OpenAI

from contracts.prediction import Input, PredictRequest, TierAnswer
from contracts.routes import Route, Target
from contracts.tasks import Server, Task, Tier
from tests.fixtures.router_app import KEY, ROUTES, VECTORS, Call, FakeTier, router, target

WRITER = Route(
    model="writer",
    task=Task.TEXT_GENERATION,
    targets={Tier.CPU: target(Tier.CPU, max_inputs=64, max_chars=10_000)},
)
# A small model in 8 bits, and the same on vLLM.
LARGE = Route(
    model="large",
    task=Task.TEXT_GENERATION,
    chat=True,
    targets={
        Tier.CPU: target(Tier.CPU, model="large", max_inputs=64, max_chars=10_000),
        Tier.GPU: target(Tier.GPU, model="large", max_chars=10_000, server=Server.VLLM),
    },
)
CHATTER = replace(WRITER, model="chatter", chat=True)
ALL = replace(
    ROUTES, models={**ROUTES.models, "writer": WRITER, "large": LARGE, "chatter": CHATTER}
)
VECTOR = [0.5, -0.25, 0.125]


@dataclass(slots=True)
class Answers(FakeTier):
    """A tier that continues texts and the last messages of chats in capitals, or embeds texts."""

    reason: str = "eos_token"
    more: dict[str, Any] = field(default_factory=dict)

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer:
        given = FakeTier.predict(self, target, request)
        outputs = tuple(self.output(read(value)) for value in request.inputs)
        return replace(given, outputs=outputs if target.model != "vectors" else ())

    def output(self, text: str) -> dict[str, Any]:
        return {
            "generated_text": text.upper(),
            "finish_reason": self.reason,
            "generated_tokens": 7,
            "embedding": VECTOR,
            "tokens": len(text.split()),
            "truncated": False,
            **self.more,
        }


def read(value: Input) -> str:
    return value if isinstance(value, str) else str(value["messages"][-1]["content"])


@dataclass(slots=True)
class Gateway(httpx2.BaseTransport):
    """A transport that gives requests to the router as API Gateway does; `sent` has their bodies."""

    call: Call
    sent: list[dict[str, Any]] = field(default_factory=list)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        body = request.read().decode()
        self.sent.append(json.loads(body) if body else {})
        key = request.headers.get("authorization")
        path = request.url.path
        answer = self.call(request.method, path, body or None, key=key)
        content = answer["body"].encode()
        return httpx2.Response(
            answer["statusCode"], headers=answer["headers"], content=content, request=request
        )


def deployed(tier: FakeTier) -> Call:
    """Return the router over a tier that answers whatever is asked, on the CPU or on a GPU."""
    return router({Tier.CPU: tier, Tier.GPU: tier}, routes=ALL)


def openai_client(call: Call, **options: Any) -> OpenAI:
    """Return the client, whose requests go straight to the router."""
    http = httpx2.Client(transport=Gateway(call))
    settings = {"api_key": KEY, "max_retries": 0, **options}
    return OpenAI(base_url="https://router/v1", http_client=http, **settings)


def post(call: Call, path: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = call("POST", path, json.dumps(body))
    return answer["statusCode"], json.loads(answer["body"])


__all__ = ["ALL", "VECTORS", "WRITER", "Answers", "deployed", "openai_client", "post"]
