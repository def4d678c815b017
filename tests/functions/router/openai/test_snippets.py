"""Calls that users of OpenAI's package write most often: answered as they expect, or refused in its own errors.

Streams are in `test_streams.py`.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam

from contracts.http_errors import DeadlineExceeded, TierUnavailable
from contracts.tasks import Tier
from functions.router.http.app import create_app
from tests.fixtures.router_app import ASSETS, KEY, Call, FakeTier, Rows
from tests.functions.event_loop import run_coroutine
from tests.functions.router.openai.deployment import (
    ALL,
    Answers,
    Gateway,
    deployed,
    openai_client,
)

HELLO: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Hello!"},
]


@dataclass(frozen=True, slots=True)
class Late(httpx2.BaseTransport):
    """A transport whose answer takes so many seconds: a client who does not wait for them gets none, at once."""

    gateway: Gateway
    seconds: float

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.extensions["timeout"]["read"] < self.seconds:
            raise httpx2.ReadTimeout("no answer yet", request=request)
        return self.gateway.handle_request(request)


def test_a_chat(client: OpenAI) -> None:
    completion = client.chat.completions.create(model="chatter", messages=HELLO)
    assert completion.choices[0].message.content == "HELLO!"


def test_a_conversation_that_grows(client: OpenAI, tier: Answers) -> None:
    messages: list[Any] = [*HELLO]
    for said in ("one", "two", "three"):
        messages.append({"role": "user", "content": said})
        made = client.chat.completions.create(model="chatter", messages=messages)
        messages.append(made.choices[0].message)
    (_, request) = tier.requests[-1]
    ((_, chat),) = request.inputs[0].items()  # type: ignore[union-attr]
    assert [message["content"] for message in chat] == [
        *("You are a helpful assistant.", "Hello!", "one", "ONE", "two", "TWO", "three"),
    ]


def test_several_chats_at_once_by_the_asynchronous_client(tier: Answers) -> None:
    app = create_app(ALL, {Tier.CPU: tier, Tier.GPU: tier}, Rows(), ASSETS)

    async def asked() -> list[str | None]:
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app))
        async with AsyncOpenAI(
            base_url="https://router/v1", api_key=KEY, max_retries=0, http_client=http
        ) as client:
            answers = [
                client.chat.completions.create(
                    model="chatter", messages=[{"role": "user", "content": word}]
                )
                for word in ("a", "b", "c")
            ]
            found = [one.choices[0].message.content for one in await asyncio.gather(*answers)]
            with pytest.raises(openai.NotFoundError):
                await client.chat.completions.create(model="gpt-9", messages=HELLO)
            return found

    assert run_coroutine(asked()) == ["A", "B", "C"]
    assert len(tier.requests) == 3


def test_an_answer_that_ends_before_a_word(client: OpenAI, tier: Answers) -> None:
    tier.reason = "stop_sequence"
    made = client.chat.completions.create(
        model="chatter", messages=HELLO, stop=["\n", "END"], max_tokens=20
    )
    assert made.choices[0].finish_reason == "stop"
    ((_, request),) = tier.requests
    assert request.parameters == {"max_new_tokens": 20, "stop": ["\n", "END"]}


def test_several_answers_to_choose_from(client: OpenAI) -> None:
    made = client.chat.completions.create(model="chatter", messages=HELLO, n=3, temperature=0.9)
    assert [choice.index for choice in made.choices] == [0, 1, 2]
    assert {choice.message.content for choice in made.choices} == {"HELLO!"}


def test_json_mode_is_refused_where_no_tier_keeps_to_a_format(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="ask for it in a message") as raised:
        client.chat.completions.create(
            model="chatter", messages=HELLO, response_format={"type": "json_object"}
        )
    assert (raised.value.param, raised.value.code) == ("response_format", "invalid_value")


def test_log_probabilities_and_tools_are_refused_where_no_tier_has_them(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="chatter", messages=HELLO, logprobs=True)
    assert raised.value.param == "logprobs"
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": {}}}
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="chatter", messages=HELLO, tools=[tool])
    assert raised.value.param == "tools"


def test_the_vectors_of_texts(client: OpenAI) -> None:
    made = client.embeddings.create(model="sentence-embedding", input=["a", "b"])
    assert [one.embedding for one in made.data] == [[0.5, -0.25, 0.125]] * 2


def test_the_errors_that_a_caller_tells_apart() -> None:
    asleep = openai_client(deployed(FakeTier(error=TierUnavailable("asleep", retry_after_s=5))))
    late = openai_client(deployed(FakeTier(error=DeadlineExceeded("late"))))
    stranger = openai_client(deployed(FakeTier()), api_key="sk-none")
    for client, kind, status in (
        (asleep, openai.InternalServerError, 503),
        (late, openai.InternalServerError, 504),
        (stranger, openai.AuthenticationError, 401),
    ):
        with pytest.raises(openai.APIStatusError) as raised:
            client.chat.completions.create(model="chatter", messages=HELLO)
        assert isinstance(raised.value, kind)
        assert raised.value.status_code == status
        assert raised.value.request_id


def test_a_caller_who_does_not_wait_has_a_timeout(call: Call) -> None:
    http = httpx2.Client(transport=Late(Gateway(call), seconds=9))
    with OpenAI(
        base_url="https://router/v1", api_key=KEY, max_retries=0, http_client=http
    ) as client:
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=8).chat.completions.create(model="chatter", messages=HELLO)
        made = client.with_options(timeout=10).chat.completions.create(
            model="chatter", messages=HELLO
        )
    assert made.choices[0].message.content == "HELLO!"


def test_the_models(client: OpenAI) -> None:
    chats = {one.id for one in client.models.list() if (one.model_extra or {})["chat"]}
    assert chats == {"chatter", "large"}
