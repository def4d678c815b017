"""Generated requests, most of them nearly right, on every path: each is answered with a 2xx or a problem document."""

import asyncio
import base64
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from awslambdaric.lambda_runtime_marshaller import to_json
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message

from contracts.http_errors import ERRORS, PROBLEM_JSON
from contracts.prediction import PredictRequest, TierAnswer, parse_request
from contracts.routes import Target
from contracts.tasks import Task, Tier
from functions.gpu.app import create_app as create_gpu_app
from functions.inference.engine import Engine
from functions.router.http.app import create_app
from functions.router.http.lambda_adapter import adapt_to_lambda
from functions.router.targets.backends import Written
from tests.conftest import SEED
from tests.fixtures.cpu_function import run
from tests.fixtures.end_to_end_requests import (
    GOOD,
    Body,
    Generator,
    faults_in_each_place,
)
from tests.fixtures.models.tiny import Tiny, artefact
from tests.fixtures.router_app import ASSETS, KEY, PREDICT, ROUTES, Rows, event
from tests.functions.event_loop import run_coroutine

pytestmark = pytest.mark.slow

GENERATED = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model, and a parameter of its task with values that are right."""

    tiny: Tiny
    parameter: str
    values: tuple[str, ...]


CASES = {
    "a number as parameter": Case(tiny=Tiny(), parameter="top_k", values=("1", "2", "3")),
    "a text as parameter": Case(
        tiny=Tiny(task=Task.TEXT_RANKING, labels=("relevance",), words={"lovely": (1.0,)}),
        parameter="query",
        values=GOOD,
    ),
}


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def bodies(case: Case) -> list[Body]:
    generator = Generator(os.environ[SEED], case.parameter, case.values)
    texts = faults_in_each_place(case.parameter, case.values[0])
    each = [Body(text=t, content=t.encode("utf-8"), encoding=None) for t in texts]
    return [*each, *(generator.body() for _ in range(GENERATED))]


@pytest.fixture(scope="module")
def model(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefact(tmp_path_factory.mktemp("model") / "cpu", case.tiny)


@dataclass(frozen=True, slots=True, kw_only=True)
class InProcessTier:
    """A tier that runs a real engine on the request as it goes over the wire."""

    engine: Engine

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer:
        payload = json.dumps(request.to_wire(), allow_nan=False).encode("ascii")
        answer = self.engine.predict(parse_request(json.loads(payload)))
        return TierAnswer.from_wire(json.loads(json.dumps(answer.to_wire(), allow_nan=False)))

    def stream(self, target: Target, request: PredictRequest) -> Written:
        yield self.predict(target, request)


def refuse(word: str) -> object:
    raise AssertionError(f"{word} is not JSON")


def assert_answer(status: int, kind: str, content: bytes, source: Body) -> None:
    """Check that an answer is a 2xx, or a 4xx with a problem document, in strict JSON."""
    document = json.loads(content.decode("utf-8"), parse_constant=refuse)
    if status == 200:
        assert (kind, len(document["outputs"]) > 0) == ("application/json", True), source
        return
    assert 400 <= status < 500, (status, document, source)
    assert kind == PROBLEM_JSON, source
    assert_problem_document(document, status, source)


def assert_problem_document(document: dict[str, Any], status: int, source: object) -> None:
    assert document["status"] == status, source
    assert ERRORS[document["code"]].status == status, source
    assert document["detail"], source
    assert len(json.dumps(document)) < 10_000, source
    assert "Traceback" not in json.dumps(document), source


@pytest.fixture(scope="module")
def app(model: Path) -> Any:
    engine = Engine.load(model)
    tiers = {tier: InProcessTier(engine=engine) for tier in Tier}
    return create_app(ROUTES, tiers, Rows(), ASSETS)


def headers_of(body: Body) -> dict[str, str]:
    encoding = {} if body.encoding is None else {"content-encoding": body.encoding}
    return {"authorization": f"Bearer {KEY}", **encoding}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    kind: str
    content: bytes


async def post(app: ASGIApp, path: str, body: Body) -> Answer:
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body.content, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    headers = [(name.encode(), value.encode()) for name, value in headers_of(body).items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    await app({**scope, "query_string": b"", "root_path": ""}, receive, send)
    start, *parts = messages
    (kind,) = [value.decode() for name, value in start["headers"] if name == b"content-type"]
    content = b"".join(part["body"] for part in parts)
    return Answer(status=start["status"], kind=kind, content=content)


def answers(app: Starlette, path: str, bodies: list[Body]) -> list[Answer]:
    """Return the application's answers, from its start to its end; a client of HTTP would take most of the time."""

    async def ask() -> list[Answer]:
        async with app.router.lifespan_context(app):
            while (await post(app, path, bodies[0])).status == 503:
                await asyncio.sleep(0.01)
            return [await post(app, path, body) for body in bodies]

    return run_coroutine(ask())


def test_the_application_answers_every_body(app: Any, bodies: list[Body]) -> None:
    statuses: Counter[int] = Counter()
    for body, answer in zip(bodies, answers(app, PREDICT, bodies), strict=True):
        assert_answer(answer.status, answer.kind, answer.content, body)
        statuses[answer.status] += 1
    assert {200, 400, 413, 415, 422} <= set(statuses)
    assert statuses[200] > GENERATED / 5


def test_the_function_of_the_router_answers_every_body(app: Any, bodies: list[Body]) -> None:
    handler: Any = adapt_to_lambda(app)
    for body in bodies:
        try:
            text, encoded = body.content.decode("utf-8"), False
        except UnicodeDecodeError:
            text, encoded = base64.b64encode(body.content).decode("ascii"), True
        asked = event("POST", PREDICT, text, base64=encoded, headers=headers_of(body))
        answer = json.loads(to_json(handler(asked, None)))
        assert answer["isBase64Encoded"] is False
        kind = answer["headers"]["content-type"]
        assert_answer(answer["statusCode"], kind, answer["body"].encode("utf-8"), body)


def test_the_container_answers_every_body(model: Path, bodies: list[Body]) -> None:
    container = create_gpu_app(lambda: Engine.load(model), "cpu", model)
    for body, answer in zip(bodies, answers(container, "/invocations", bodies), strict=True):
        assert_answer(answer.status, answer.kind, answer.content, body)


def readable(bodies: list[Body], read: Callable[[str], object]) -> Iterator[object]:
    """Yield the events in the bodies: the values of those that the runtime's reader takes."""
    for body in bodies:
        try:
            yield read(body.text)
        except (ValueError, RecursionError):
            continue


def test_the_cpu_function_answers_every_event_that_its_runtime_reads(
    model: Path, bodies: list[Body], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invoke the function without the router: its runtime reads NaN, Infinity, repeated keys and half surrogates."""
    # Those that are nested too deeply for the test's own pipe are left out, and not those of 40 levels.
    events = [value for value in readable(bodies, json.loads) if "[" * 500 not in str(value)]
    answers = run(model, *events).answers
    # The runtime's encoder escapes nothing in the image of 3.14, so a half surrogate could not be sent.
    monkeypatch.setenv("AWS_EXECUTION_ENV", "AWS_Lambda_python3.14")
    assert len(answers) == len(events) > len(bodies) / 2
    kinds: Counter[str] = Counter()
    for asked, answer in zip(events, answers, strict=True):
        sent = json.loads(to_json(answer).encode("utf-8"), parse_constant=refuse)
        (kind,) = sent.keys() & {"outputs", "problem"}
        kinds[kind] += 1
        if kind == "problem":
            assert 400 <= sent["problem"]["status"] < 500, (sent, asked)
            assert_problem_document(sent["problem"], sent["problem"]["status"], asked)
    assert min(kinds["outputs"], kinds["problem"]) > GENERATED / 5
