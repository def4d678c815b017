"""200 requests for the example models, good and bad: to the API, and to the functions themselves."""

import gzip
import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tests.fixtures.end_to_end_requests import BAD_BODIES, INTENTS, PACKED, unusual
from tests.fixtures.paths import ROOT

VECTORS = "sentence-embedding"
JSON = {"content-type": "application/json"}
# The time that a model took and takes, and the ids of requests: what differs between two equal answers.
OWN = ("elapsed_ms", "observed_token_ms", "request_id")
Answer = tuple[int, str, object]
# The times at which two deployments were made.
DATES = ("created", "deployed_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request to the API; `key` is False for one without the key."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    key: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoked:
    """An invocation of a model's function."""

    model: str
    payload: Any


def texts(model: str) -> list[str]:
    """Return the texts of an example's labelled rows, each once."""
    lines = (ROOT / f"examples/{model}/eval.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    found = [value for row in rows for value in row.values() if isinstance(value, str)]
    return list(dict.fromkeys(text for text in found if " " in text))


def asked() -> list[Asked]:
    """Return the requests to the API."""
    return [*_predictions(), *_bad(), *_others()]


def _predict(model: str, document: object, **headers: str) -> Asked:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Asked(method="POST", path=f"/v1/models/{model}/predict", body=body, headers=JSON | named)


def _predictions() -> Iterator[Asked]:
    intents, vectors = texts(INTENTS), texts(VECTORS)
    yield from (_predict(INTENTS, {"inputs": text}) for text in intents[:26])
    yield from (_predict(INTENTS, {"inputs": [text], "tier": "gpu"}) for text in intents[:8])
    yield _predict(INTENTS, {"inputs": intents[:33]})
    for top_k in (1, 2, 5):
        yield _predict(INTENTS, {"inputs": intents[:4], "parameters": {"top_k": top_k}})
    yield from (_predict(VECTORS, {"inputs": [text]}) for text in vectors[:25])
    yield _predict(VECTORS, {"inputs": ["word " * 600, "größer 😀", "\u0000"]})
    body = json.dumps({"inputs": intents[:3]}).encode()
    yield _predict(INTENTS, gzip.compress(body), **PACKED)


def _bad() -> Iterator[Asked]:
    for body, headers, *_ in BAD_BODIES.values():
        yield _predict(INTENTS, body, **headers)
    yield from (_predict(INTENTS, body) for body in islice(unusual("cpu"), 25))


def _others() -> Iterator[Asked]:
    for path in (
        "/v1/models",
        "/docs",
        "/openapi.json",
        "/health",
        "/healthz",
        "/nope",
        "/",
        "/v1",
    ):
        yield Asked(method="GET", path=path)
        yield Asked(method="GET", path=path, key=False)
    yield Asked(method="DELETE", path="/v1/models")
    yield Asked(method="PUT", path=f"/v1/models/{INTENTS}/predict", body=b"{}")
    yield Asked(method="OPTIONS", path=f"/v1/models/{INTENTS}/predict")
    yield Asked(method="GET", path=f"/v1/models/{INTENTS}/predict?inputs=a&inputs=b")
    wrong = {"authorization": "Bearer to-wrong", **JSON}
    yield Asked(method="GET", path="/v1/models", headers=wrong, key=False)
    yield _predict("unknown", {"inputs": "a"})
    yield _predict("sup%2Fport", {"inputs": "a"})
    yield Asked(
        method="POST", path=f"/v1/models/{INTENTS}/predict", body=b'{"inputs":"a"}', key=False
    )


def invoked() -> list[Invoked]:
    """Return the invocations of the functions."""
    intents, vectors = texts(INTENTS), texts(VECTORS)
    bad: tuple[object, ...] = (
        {},
        [],
        "text",
        None,
        {"inputs": []},
        {"inputs": [1]},
        {"inputs": ["a"] * 2000},
    )
    return [
        *(Invoked(model=INTENTS, payload={"inputs": [text]}) for text in intents[30:56]),
        Invoked(model=INTENTS, payload={"inputs": intents[:32], "parameters": {"top_k": 3}}),
        Invoked(model=INTENTS, payload={"inputs": ["a"], "parameters": {"top_k": 999}}),
        *(Invoked(model=VECTORS, payload={"inputs": [text]}) for text in vectors[25:50]),
        *(
            Invoked(model=model, payload=document)
            for model in (INTENTS, VECTORS)
            for document in bad
        ),
        *(Invoked(model=model, payload={"probe": True}) for model in (INTENTS, VECTORS)),
    ]


def compared(body: bytes) -> object:
    """Return what is compared of a body: all of it but times and ids."""
    try:
        document = json.loads(body)
    except ValueError:
        return body
    return without(document)


def without(document: object, own: Collection[str] = OWN) -> object:
    """Return a document without those of its members."""
    if isinstance(document, dict):
        return {name: without(value, own) for name, value in document.items() if name not in own}
    if isinstance(document, list):
        return [without(value, own) for value in document]
    # NaN is not equal to itself.
    if isinstance(document, float) and math.isnan(document):
        return "NaN"
    return document


def differences(pairs: list[tuple[object, Answer, Answer]]) -> list[str]:
    return [
        f"{request!r:.300}\n  local cloud: {cloud!r:.600}\n  the other: {other!r:.600}"
        for request, cloud, other in pairs
        if cloud != other
    ]


def undated(answer: Answer) -> Answer:
    """Return an answer without the times of its deployment."""
    return (*answer[:2], without(answer[2], DATES))
