"""Streams, read by OpenAI's own clients: behind a REST API, and from the application itself."""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import openai
import openapi_spec_validator
import pytest
import uvicorn
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam

from contracts.http_errors import ModelFailed, TierUnavailable
from contracts.tasks import Tier
from functions.router.http.app import create_app
from functions.router.http.front import WHOLE, Front
from tests.fixtures.router_app import ASSETS, KEY, URLS, FakeTier, Rows, log_line, router
from tests.functions.event_loop import run_coroutine
from tests.functions.router.openai.deployment import ALL, post
from tests.functions.router.openai.writing_tier import StreamingGateway, WritingTier

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "one two"}]
OURS = {"version": "f00dfeed0000", "tier": "cpu", "reason": "fits_cpu", "elapsed_ms": 1.5}


@pytest.fixture
def tier() -> WritingTier:
    return WritingTier()


def application(tier: WritingTier, **tiers: FakeTier) -> Any:
    backends = {Tier.CPU: tier, Tier.GPU: tiers.get("gpu", FakeTier())}
    return create_app(ALL, backends, Rows(), ASSETS, front=Front(streams=True, urls=URLS))


@pytest.fixture
def gateway(tier: WritingTier) -> Iterator[httpx2.Client]:
    with httpx2.Client(transport=StreamingGateway(application(tier))) as client:
        yield client


@pytest.fixture
def client(gateway: httpx2.Client) -> OpenAI:
    return OpenAI(base_url="https://b/v1", api_key=KEY, max_retries=0, http_client=gateway)


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Yield the URL of the application, run by itself, without a gateway."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def raw(gateway: httpx2.Client, **keys: Any) -> list[dict[str, Any]]:
    """Return the chunks of a stream as they are sent, without the mark at the end."""
    document = {"model": "writer", "prompt": "one two", "stream": True, **keys}
    key = {"Authorization": f"Bearer {KEY}"}
    answer = gateway.post("https://b/v1/completions", json=document, headers=key)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    *events, mark, rest = answer.text.split("\n\n")
    assert (mark, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def test_a_text_comes_as_it_is_written(client: OpenAI, tier: WritingTier) -> None:
    stream = client.completions.create(model="writer", prompt="one two", stream=True)
    first = next(stream)
    assert first.choices[0].text == "ONE"
    tier.go_on.set()
    rest = list(stream)
    assert [one.choices[0].text for one in rest] == [" TWO", ""]
    assert [one.choices[0].finish_reason for one in rest] == [None, "stop"]
    assert {one.id for one in rest} == {first.id}
    assert {one.object for one in rest} == {"text_completion"}
    assert rest[0].model_extra == {}
    assert (rest[1].system_fingerprint, rest[1].model_extra) == ("f00dfeed0000", {"turnout": OURS})


def test_several_texts_come_interleaved(client: OpenAI, tier: WritingTier) -> None:
    tier.go_on.set()
    stream = client.completions.create(model="writer", prompt=["a b", "c"], n=2, stream=True)
    choices = [one.choices[0] for one in stream]
    assert [(one.index, one.text) for one in choices] == [
        (0, "A"), (1, "A"), (2, "C"), (3, "C"), (0, " B"), (1, " B"), (0, ""), (1, ""), (2, ""), (3, ""),
    ]  # fmt: skip
    assert [one.finish_reason for one in choices] == [None] * 6 + ["stop"] * 4


def test_the_usage_comes_last_where_it_is_wanted(gateway: httpx2.Client, tier: WritingTier) -> None:
    tier.go_on.set()
    *chunks, last = raw(gateway, stream_options={"include_usage": True})
    assert [(len(one["choices"]), one["usage"]) for one in chunks] == [(1, None)] * 3
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 2, "completion_tokens": 7, "total_tokens": 9}
    assert last["turnout"] == OURS
    assert all("usage" not in one for one in raw(gateway, stream_options={}))


def test_a_chat_begins_with_its_role_and_goes_on_with_its_text(
    client: OpenAI, tier: WritingTier
) -> None:
    tier.go_on.set()
    stream = client.chat.completions.create(model="chatter", messages=HELLO, n=2, stream=True)
    chunks = list(stream)
    deltas = [(one.choices[0].index, one.choices[0].delta) for one in chunks]
    assert [(index, one.role, one.content) for index, one in deltas] == [
        (0, "assistant", ""), (1, "assistant", ""), (0, None, "ONE"), (1, None, "ONE"),
        (0, None, " TWO"), (1, None, " TWO"), (0, None, None), (1, None, None),
    ]  # fmt: skip
    assert [one.choices[0].finish_reason for one in chunks[-2:]] == ["stop"] * 2
    assert {one.object for one in chunks} == {"chat.completion.chunk"}


def test_calls_of_tools_come_whole_at_the_end_of_a_chat(client: OpenAI, tier: WritingTier) -> None:
    tier.go_on.set()
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    tier.more = {"tool_calls": [call], "finish_reason": "tool_calls"}
    *_, last = client.chat.completions.create(model="chatter", messages=HELLO, stream=True)
    (found,) = last.choices[0].delta.tool_calls or []
    assert (found.index, found.id, found.function and found.function.name) == (0, "c1", "look")
    assert last.choices[0].finish_reason == "tool_calls"


def test_log_probabilities_come_whole_at_the_end(client: OpenAI, tier: WritingTier) -> None:
    tier.go_on.set()
    tier.more = {"logprobs": {"tokens": ["ONE"], "token_logprobs": [-0.5]}}
    *_, last = client.completions.create(model="writer", prompt="one two", stream=True)
    assert last.choices[0].logprobs is not None
    assert last.choices[0].logprobs.token_logprobs == [-0.5]


def test_whole_answers_come_from_the_streaming_front_as_well(client: OpenAI) -> None:
    made = client.completions.create(model="writer", prompt="one two")
    assert made.choices[0].text == "ONE TWO"


def test_the_front_that_answers_whole_names_the_other_one(tier: WritingTier) -> None:
    call = router({Tier.CPU: tier}, routes=ALL, front=Front(urls=URLS))
    status, body = post(call, "/v1/completions", {"model": "writer", "prompt": "a", "stream": True})
    assert (status, body["error"]["param"]) == (400, "stream")
    assert "https://b.example/live/v1" in body["error"]["message"]
    assert tier.requests == []
    listed = json.loads(call("GET", "/v1/models")["body"])
    assert listed["urls"] == URLS


@pytest.mark.parametrize(
    ("front", "servers"),
    [
        (Front(urls=URLS), [".", "https://a.example", "https://b.example/live"]),
        (Front(streams=True, urls=URLS), [".", "https://a.example", "https://b.example/live"]),
        (Front(urls={WHOLE: "https://a.example"}), [".", "https://a.example"]),
        (Front(), []),
    ],
    ids=["whole", "streamed", "a domain alone", "unknown"],
)
def test_the_description_names_where_it_is_from_and_each_front(
    tier: WritingTier, front: Front, servers: list[str]
) -> None:
    call = router({Tier.CPU: tier}, routes=ALL, front=front)
    document = json.loads(call("GET", "/openapi.json", key=None)["body"])
    assert [one["url"] for one in document.get("servers", [])] == servers
    openapi_spec_validator.validate(document)


def test_options_of_a_stream_are_refused_without_one(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="with `stream` alone"):
        client.completions.create(
            model="writer", prompt="a", stream_options={"include_usage": True}
        )


def test_a_failure_before_the_first_word_has_its_status(tier: WritingTier) -> None:
    tier.error = TierUnavailable("busy")
    gpu = FakeTier(error=TierUnavailable("busy as well"))
    http = httpx2.Client(transport=StreamingGateway(application(tier, gpu=gpu)))
    with OpenAI(base_url="https://b/v1", api_key=KEY, max_retries=0, http_client=http) as client:
        with pytest.raises(openai.InternalServerError, match="busy") as caught:
            client.completions.create(model="writer", prompt="a", stream=True)
    assert caught.value.status_code == 503


@pytest.mark.parametrize(
    ("breaks", "code", "words"),
    [
        (ModelFailed("it crashed"), "model_failed", "it crashed"),
        (ZeroDivisionError("secret"), "internal_error", "the router failed"),
    ],
)
def test_a_failure_behind_the_first_word_is_an_event(
    client: OpenAI, tier: WritingTier, breaks: Exception, code: str, words: str
) -> None:
    tier.breaks = breaks
    stream = client.completions.create(model="writer", prompt="one two", stream=True)
    assert next(stream).choices[0].text == "ONE"
    with pytest.raises(openai.APIError, match=words) as caught:
        next(stream)
    assert (caught.value.code, caught.value.type) == (code, "server_error")


def metrics_of(line: dict[str, Any]) -> dict[str, Any]:
    directives = line["_aws"]["CloudWatchMetrics"]
    names = [metric["Name"] for one in directives for metric in one["Metrics"]]
    return {name: line[name] for name in names}


def test_a_stream_is_logged_with_its_tokens_and_the_time_to_its_first(
    client: OpenAI, tier: WritingTier, caplog: pytest.LogCaptureFixture
) -> None:
    tier.go_on.set()
    with caplog.at_level(logging.INFO, "turnout.access"):
        list(client.completions.create(model="writer", prompt="one two", stream=True))
    line = log_line(caplog)
    assert (line["tokens"], line["tier"], line["status"]) == (7, "cpu", 200)
    assert "unfinished" not in line
    found = metrics_of(line)
    assert 0 < found["first_ms"] <= found["ms"]
    assert found["errors"] == 0


def test_a_stream_of_another_tier_than_the_wanted_one_is_logged_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gpu = WritingTier()
    gpu.go_on.set()
    app = application(WritingTier(error=TierUnavailable("busy")), gpu=gpu)
    http = httpx2.Client(transport=StreamingGateway(app))
    asked = {"model": "large", "prompt": "a", "stream": True}
    with http, caplog.at_level(logging.INFO, "turnout.access"):
        raw(http, **asked)
    line = log_line(caplog)
    assert (line["tier"], line["reason"], line["fallback"]) == ("gpu", "cpu_throttled", 1)


def test_a_stream_that_breaks_off_counts_as_an_error(
    client: OpenAI, tier: WritingTier, caplog: pytest.LogCaptureFixture
) -> None:
    tier.breaks = ModelFailed("it crashed")
    stream = client.completions.create(model="writer", prompt="one two", stream=True)
    with caplog.at_level(logging.INFO, "turnout.access"), pytest.raises(openai.APIError):
        list(stream)
    line = log_line(caplog)
    assert (line["problem"], line["unfinished"], line["status"]) == ("model_failed", 1, 200)
    assert metrics_of(line)["errors"] == 1


def test_a_caller_who_leaves_ends_the_work_where_that_is_known(
    tier: WritingTier, caplog: pytest.LogCaptureFixture
) -> None:
    with served(application(tier)) as url, caplog.at_level(logging.INFO, "turnout.access"):
        with OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
            stream = client.completions.create(model="writer", prompt="one two", stream=True)
            assert next(stream).choices[0].text == "ONE"
            stream.close()
        tier.go_on.set()
        assert tier.closed.wait(20)
    line = log_line(caplog)
    # Nobody failed.
    assert (line["unfinished"], metrics_of(line)["errors"]) == (1, 0)


def test_the_asynchronous_client_reads_the_same(tier: WritingTier) -> None:
    tier.go_on.set()

    async def read(url: str) -> list[str]:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
            stream = await client.completions.create(model="writer", prompt="one two", stream=True)
            return [one.choices[0].text async for one in stream]

    with served(application(tier)) as url:
        assert run_coroutine(read(url)) == ["ONE", " TWO", ""]
