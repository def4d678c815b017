"""Requests that Schemathesis makes of the served OpenAPI document: every answer is one that the document describes.

They go to the application over small real engines. Of all requests a part is made, by a seed; `make prove` makes all of
them, more than 10,000.
"""

import gzip
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, configuration, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.python.asgi import get_client
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from contracts.keys import key_hash
from contracts.prediction import PredictRequest, TierAnswer
from contracts.routes import Route, Routes, Target
from contracts.tasks import Task, Tier
from functions.inference.engine import Engine
from functions.router.http.app import create_app
from functions.router.targets.backends import Written
from tests.conftest import SEED
from tests.fixtures.models.tiny import Tiny, artefact, vectors
from tests.fixtures.router_app import ASSETS, KEY, Rows, target
from tests.functions.test_any_request import InProcessTier

pytestmark = pytest.mark.slow

PARTS, OF_PART = 15, 60
PREDICT = "/v1/models/{model}/predict"
BEARER = {"Authorization": f"Bearer {KEY}"}
MODELS_BY_NAME = {
    "classes": Tiny(model="classes"),
    "ranks": Tiny(
        model="ranks", task=Task.TEXT_RANKING, labels=("relevance",), words={"lovely": (1.0,)}
    ),
    "vectors": vectors(),
}
# Only models with several labels to a text have a threshold, only those with prompts a name of one; labels bound top_k,
# and a build what vectors may be cut to.
OF_SOME_MODELS = tuple(
    f"/parameters/{name}" for name in ("threshold", "prompt_name", "top_k", "dimensions")
)
CONFORMS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of generated request to a model: with a key or a random one, and with headers that are not generated.

    Of each part of them at least one is answered with `seen`.
    """

    model: str
    mode: GenerationMode
    seen: int
    path: str = PREDICT
    key: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)


RIGHT, WRONG = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
PLAIN = {"Content-Encoding": "identity"}
KINDS = {
    f"{name}, {said}": kind
    for name in MODELS_BY_NAME
    for said, kind in {
        "right": Kind(model=name, mode=RIGHT, seen=200),
        "wrong body": Kind(model=name, mode=WRONG, seen=422, headers=PLAIN),
        "wrong body or header": Kind(model=name, mode=WRONG, seen=415),
        "no key": Kind(model=name, mode=RIGHT, seen=401, key=False),
    }.items()
} | {
    f"{path}, {said}": Kind(path=path, model="vectors", mode=mode, seen=seen, headers=PLAIN)
    for path, said, mode, seen in (
        ("/v1/embeddings", "right", RIGHT, 200),
        ("/v1/embeddings", "wrong body", WRONG, 400),
        # The model is not one of generation.
        ("/v1/chat/completions", "right", RIGHT, 400),
        ("/v1/chat/completions", "wrong body", WRONG, 400),
        ("/v1/completions", "right", RIGHT, 400),
        ("/v1/completions", "wrong body", WRONG, 400),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """A tier that runs the engine of the request's model."""

    by_model: dict[str, InProcessTier]

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer:
        return self.by_model[target.model].predict(target, request)

    def stream(self, target: Target, request: PredictRequest) -> Written:
        return self.by_model[target.model].stream(target, request)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("models")
    engines = {
        name: InProcessTier(engine=Engine.load(artefact(folder / name, tiny)))
        for name, tiny in MODELS_BY_NAME.items()
    }
    routes = Routes(
        deployment="shop",
        registry="shop-registry",
        models={
            name: Route(
                model=name,
                task=tiny.task,
                targets={tier: target(tier, model=name) for tier in Tier},
                labels=tiny.labels,
                dimensions=tiny.dimensions,
            )
            for name, tiny in MODELS_BY_NAME.items()
        },
        key_hashes={"ci": key_hash(KEY)},
    )
    return create_app(routes, {tier: Engines(by_model=engines) for tier in Tier}, Rows(), ASSETS)


@pytest.fixture(scope="module")
def document(app: Any) -> Any:
    return get_client(app).get("http://testserver/openapi.json").json()


@pytest.fixture(scope="module", autouse=True)
def examples(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what Hypothesis remembers out of the working tree."""
    configuration.set_hypothesis_home_dir(tmp_path_factory.mktemp("hypothesis"))


def described(document: Any, kind: Kind) -> Any:
    """Return the operation of a kind, for its model alone."""
    narrowed = json.loads(json.dumps(document))
    operation = narrowed["paths"][kind.path]["post"]
    asked = operation["requestBody"]["content"]["application/json"]
    if kind.path == PREDICT:
        # Requests and outputs are those of one task and no other's.
        task = MODELS_BY_NAME[kind.model].task
        ref = {"$ref": f"#/components/schemas/{task.title().replace('-', '')}Request"}
        assert ref in asked["schema"]["anyOf"]
        asked["schema"] = ref
        answered = operation["responses"]["200"]["content"]["application/json"]["schema"]
        outputs = answered["properties"]["outputs"]
        outputs["anyOf"] = [one for one in outputs["anyOf"] if one["title"] == task]
        assert len(outputs["anyOf"]) == 1
    else:
        asked["schema"]["properties"]["model"] = {"const": kind.model}
    if kind.key:
        # It is ours, and not generated.
        del operation["security"]
    return schemathesis.openapi.from_dict(narrowed)[kind.path]["POST"]


def sent(case: Any, kind: Kind, client: Any) -> Any:
    """Return the answer to a case, whose body is compressed where its header says so."""
    key = BEARER if kind.key else None
    request = case.as_transport_kwargs(base_url="http://testserver", headers=key)
    if case.headers.get("Content-Encoding") == "gzip" and "json" in request:
        request["data"] = gzip.compress(json.dumps(request.pop("json")).encode())
    return client.request(**request)


def deadline_of(case: Any) -> object:
    return case.body.get("deadline_ms") if isinstance(case.body, dict) else None


def excused(case: Any, answer: dict[str, Any]) -> bool:
    """Return True where a request that the schemas allow may be refused: for what the document says in words."""
    if answer["status"] == 422:
        return all(excused_problem(case.body, **problem) for problem in answer["errors"])
    # More than a tier of the model takes, which is the model's own limit; or later than the caller waits.
    return answer["status"] == 413 or (answer["status"] == 504 and bool(deadline_of(case)))


def excused_problem(body: Any, pointer: str, detail: str) -> bool:
    if detail == "is an empty text" or pointer in ("/version", *OF_SOME_MODELS):
        return True
    value = body
    for key in pointer.split("/")[1:]:
        value = value[int(key)] if isinstance(value, list) else value[key]
    if isinstance(value, str):
        return not value.strip()
    # For JSON Schema 2.0 is an integer.
    return "whole number" in detail and isinstance(value, float) and value.is_integer()


def checked(case: Any, kind: Kind, response: Any) -> int:
    """Return the status of an answer that is as it should be."""
    # A header may be wrong in ways that HTTP itself mends. A request that is wrong may be too large as well.
    rejected = kind.headers and kind.mode is WRONG and response.status_code != 413
    extra = [negative_data_rejection] if rejected else []
    case.validate_response(response, checks=[*CONFORMS, *extra])
    status: int = response.status_code
    # The caller's own deadline may be over before the answer is there.
    assert status < 500 or (status == 504 and deadline_of(case)), response.text
    # What OpenAI's dialect has and is not done here is refused in words of the document.
    if kind.mode is RIGHT and kind.key and kind.path == PREDICT and status >= 400:
        assert excused(case, response.json()), (case.body, response.text)
    return status


@pytest.mark.exhaustive(keep=4)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", KINDS)
def test_every_answer_is_one_that_the_document_describes(
    app: Any, document: Any, name: str, part: int
) -> None:
    kind = KINDS[name]
    operation = described(document, kind)
    client = get_client(app)
    statuses: Counter[int] = Counter()

    def ask(case: Any) -> None:
        statuses[checked(case, kind, sent(case, kind, client))] += 1

    cases = operation.as_strategy(
        generation_mode=kind.mode,
        path_parameters={"model": kind.model} if kind.path == PREDICT else None,
        headers=dict(kind.headers),
    )
    # No example is shrunk or remembered: the seed repeats it.
    generated = settings(
        max_examples=OF_PART,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run: Any = generated(given(case=cases)(ask))
    seed(Random(f"{os.environ[SEED]} {name} {part}").getrandbits(32))(run)()
    assert statuses.total() >= OF_PART
    assert statuses[kind.seen], statuses
    assert statuses[200] == 0 or kind.key, statuses
