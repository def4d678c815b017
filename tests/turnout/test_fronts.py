"""The front that commands send to: that of streams for a model that writes, with the time that it has."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contracts.limits import CLIENT_TIMEOUT_S, STREAM_CLIENT_TIMEOUT_S
from tests.fixtures.json_server import Answered, Received, json_server
from tests.turnout.batch.endpoint import Scripted, serving
from tests.turnout.batch.test_rows import file_of
from turnout.cli import app
from turnout.client import Connection, Endpoint, Reply, request
from turnout.fronts import front_of

run = CliRunner().invoke
MODELS = [
    {"id": "writer", "task": "text-generation"},
    {"id": "translator", "task": "text2text-generation"},
    {"id": "intents", "task": "text-classification"},
]
# Of a deployment whose front of streams is where FRONT is.
URLS = {"whole": "https://a", "streamed": "FRONT/live"}
LATE = {"type": "urn:turnout:problem:model-failed", "status": 502, "code": "model_failed"}


@pytest.mark.parametrize(
    ("listed", "model", "streams"),
    [
        ({"data": MODELS, "urls": URLS}, "writer", True),
        ({"data": MODELS, "urls": URLS}, "translator", True),
        ({"data": MODELS, "urls": URLS}, "intents", False),
        ({"data": MODELS, "urls": URLS}, "unknown", False),
        ({"data": MODELS}, "writer", False),
        ({"data": MODELS, "urls": {"whole": "https://a"}}, "writer", False),
        (["another service"], "writer", False),
    ],
)
def test_only_what_a_model_writes_goes_to_the_front_of_streams(
    listed: Any, model: str, streams: bool
) -> None:
    with json_server(lambda received: (200, {"status": "ok"}, {})) as front:
        said = json.dumps(listed).replace("FRONT", front).encode()
        with json_server(lambda received: (200, said, {})) as url:
            endpoint = Endpoint(url=url, key="k")
            found = front_of(endpoint, model)
    if not streams:
        assert found is endpoint
        assert found.timeout_s == CLIENT_TIMEOUT_S
        return
    assert (found.url, found.key) == (f"{front}/live", "k")
    assert found.timeout_s == STREAM_CLIENT_TIMEOUT_S


def test_a_local_deployment_is_called_on_this_machine_whatever_its_domain() -> None:
    with json_server(lambda received: (200, {"data": MODELS, "urls": URLS}, {})) as url:
        endpoint = Endpoint(url=url, key="k", stream_url=f"{url}/live")
        assert front_of(endpoint, "writer").url == f"{url}/live"


def test_a_domain_that_nothing_leads_to_yet_is_not_asked() -> None:
    with json_server(lambda received: (200, {}, {})) as nowhere:
        pass
    listed = {"data": MODELS, "urls": {"whole": nowhere, "streamed": f"{nowhere}/stream"}}
    with json_server(lambda received: (200, listed, {})) as url:
        endpoint = Endpoint(url=url, key="k")
        assert front_of(endpoint, "writer") is endpoint


def test_an_endpoint_that_does_not_answer_is_left_as_it_is() -> None:
    with json_server(lambda received: (200, {}, {})) as url:
        pass
    for gone in (Endpoint(url=url, key="k"), Endpoint(url="no url", key="k")):
        assert front_of(gone, "writer") is gone


def test_texts_are_called_for_and_batches_sent_at_the_front_of_streams(tmp_path: Path) -> None:
    rows = file_of(tmp_path, "a", "b")
    with serving(Scripted()) as service:
        service.listed = {"data": MODELS, "urls": {"streamed": f"{service.url}/live"}}
        options = ["--url", service.url, "--key", "k"]
        called = run(app, ["call", "writer", "a", "--json", *options])
        sent = run(app, ["batch", "writer", str(rows), *options])
    assert (called.exit_code, sent.exit_code) == (0, 0), called.output + sent.output
    assert {one["path"] for one in service.seen} == {"/live/v1/models/writer/predict"}


def test_a_problem_that_came_after_a_silence_is_one() -> None:
    def late(received: Received) -> Answered:
        return 200, b"   " + json.dumps(LATE).encode(), {}

    with json_server(late) as url:
        endpoint = Endpoint(url=url, key="k")
        kept = Connection(endpoint)
        for reply in (request(endpoint, "POST", "/x", {}), kept.request("POST", "/x", {})):
            assert (reply.status, reply.body) == (502, LATE)
        kept.close()


@pytest.mark.parametrize(
    ("body", "headers", "wait_s"),
    [
        ({"retry_after_s": 90}, {}, 90),
        ({"retry_after_s": 90}, {"retry-after": "30"}, 30),
        ({}, {"Retry-After": "30"}, 30),
        ({}, {"Retry-After": "Fri, 27 Nov 2026 12:00:00 GMT"}, None),
        ({"retry_after_s": None}, {}, None),
        ("busy", {}, None),
    ],
)
def test_a_reply_says_how_long_to_wait(
    body: object, headers: dict[str, str], wait_s: float | None
) -> None:
    assert Reply(status=503, body=body, ms=1, headers=headers).retry_after_s == wait_s
