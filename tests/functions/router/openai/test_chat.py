"""`client.chat.completions` of OpenAI's own package: what it sends is run, and what it reads is there."""

from typing import Any

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from contracts.tasks import Tier
from tests.fixtures.router_app import Call
from tests.functions.router.openai.deployment import Answers, post

PATH = "/v1/chat/completions"
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "one two"}]


def wire(tier: Answers) -> dict[str, Any]:
    """Return the inputs and parameters of the one request that the tier got."""
    ((_, request),) = tier.requests
    return {"inputs": list(request.inputs), **request.parameters}


def test_the_next_message_of_a_chat_is_answered(client: OpenAI, tier: Answers) -> None:
    made = client.chat.completions.create(model="chatter", messages=HELLO)
    (choice,) = made.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "ONE TWO")
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "stop", None)
    assert made.usage is not None
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (2, 7)
    assert made.usage.total_tokens == 9
    assert (made.object, made.model) == ("chat.completion", "chatter")
    assert made.system_fingerprint == "f00dfeed0000"
    assert wire(tier) == {"inputs": [{"messages": HELLO}]}


def test_an_answer_is_sent_back_as_its_client_has_it(client: OpenAI, tier: Answers) -> None:
    made = client.chat.completions.create(model="chatter", messages=HELLO)
    again: Any = [*HELLO, made.choices[0].message, {"role": "user", "content": "more"}]
    client.chat.completions.create(model="chatter", messages=again)
    (_, (_, request)) = tier.requests
    assert request.inputs == (
        {
            "messages": [
                *HELLO,
                {"role": "assistant", "content": "ONE TWO"},
                {"role": "user", "content": "more"},
            ]
        },
    )


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ({"max_tokens": 5}, {"max_new_tokens": 5}),
        ({"max_completion_tokens": 6}, {"max_new_tokens": 6}),
        ({"max_completion_tokens": 6, "max_tokens": 5}, {"max_new_tokens": 6}),
        ({"temperature": 0, "seed": 3}, {"do_sample": False}),
        ({"temperature": 0.7, "top_p": 0.9}, {"temperature": 0.7, "top_p": 0.9}),
        ({"stop": "."}, {"stop": ["."]}),
        ({"user": "me", "tools": [], "tool_choice": "auto", "logprobs": False}, {}),
        ({"response_format": {"type": "text"}, "modalities": ["text"], "store": False}, {}),
    ],
)
def test_each_key_means_a_parameter_of_ours(
    client: OpenAI, tier: Answers, asked: dict[str, Any], meant: dict[str, Any]
) -> None:
    client.chat.completions.create(model="chatter", messages=HELLO, **asked)
    assert wire(tier) == {"inputs": [{"messages": HELLO}], **meant}


def test_developers_speak_as_the_system_and_parts_stay_parts(client: OpenAI, tier: Answers) -> None:
    parts: Any = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    client.chat.completions.create(
        model="chatter",
        messages=[
            {"role": "developer", "content": "Be short."},
            {"role": "user", "content": parts, "name": "ann"},
        ],
    )
    assert wire(tier)["inputs"] == [
        {
            "messages": [
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": parts, "name": "ann"},
            ]
        }
    ]


def test_several_answers_to_a_chat_read_it_once(client: OpenAI, tier: Answers) -> None:
    made = client.chat.completions.create(model="chatter", messages=HELLO, n=3)
    assert [(one.index, one.message.content) for one in made.choices] == [
        (i, "ONE TWO") for i in range(3)
    ]
    assert made.usage is not None
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (2, 21)
    assert wire(tier)["inputs"] == [{"messages": HELLO}] * 3


def test_what_vllm_alone_does_is_passed_to_it(client: OpenAI, tier: Answers) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    tier.more = {"tool_calls": [call], "generated_text": ""}
    tier.reason = "tool_calls"
    asked: Any = {"tools": [TOOL], "response_format": SCHEMA, "top_logprobs": 2, "logprobs": True}
    made = client.chat.completions.create(model="large", messages=HELLO, **asked)
    ((target, request),) = tier.requests
    assert (target.tier, request.passed) == (Tier.GPU, asked)
    (choice,) = made.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    assert [one.to_dict() for one in choice.message.tool_calls] == [call]
    assert choice.message.content is None
    answered: Any = [
        *HELLO,
        choice.message,
        {"role": "tool", "content": "5", "tool_call_id": "call_1"},
    ]
    client.chat.completions.create(model="large", messages=answered, tools=[TOOL])
    (_, (_, second)) = tier.requests
    assert second.inputs == (
        {
            "messages": [
                *HELLO,
                {"role": "assistant", "content": "", "tool_calls": [call]},
                answered[-1],
            ]
        },
    )


SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}
TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": {}}}


@pytest.mark.parametrize(
    ("keys", "param", "words"),
    [
        ({"messages": None}, "messages", "is needed"),
        ({"messages": "hello"}, "messages", "a list of messages"),
        ({"messages": []}, "messages", "one at least"),
        ({"messages": ["a"]}, "messages/0", "an object"),
        ({"messages": [{"role": "user"}]}, "messages/0/content", "a text, or a list of parts"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages/0/content", "a text, or"),
        ({"messages": [{"role": "me", "content": "a"}]}, "messages/0/role", "one of system"),
        (
            {"messages": [*HELLO, {"role": "user", "content": "a", "tool_calls": [TOOL]}]},
            "messages/1/tool_calls",
            "a list of calls",
        ),
        (
            {"messages": [*HELLO, {"role": "user", "content": "a", "weight": 1}]},
            "messages/1/weight",
            "unknown key",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages/0/content",
            '"type": "text"',
        ),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages/0/content", "surrogate"),
        ({"n": 2, "seed": 1}, "seed", "the same text 2 times"),
        ({"stream": True}, "stream", "come whole"),
        ({"tools": [TOOL]}, "tools", "calls tools"),
        ({"tool_choice": "required"}, "tool_choice", "calls tools"),
        ({"response_format": {"type": "json_object"}}, "response_format", "keeps to a format"),
        ({"response_format": SCHEMA}, "response_format", "keeps to a format"),
        ({"logprobs": True}, "logprobs", "log-probabilities"),
        ({"top_logprobs": 2}, "top_logprobs", "log-probabilities"),
        ({"presence_penalty": 0.5}, "presence_penalty", "not applied"),
        ({"logit_bias": {"5": 1}}, "logit_bias", "not applied"),
        ({"audio": {"voice": "ash"}}, "audio", "text alone"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", "from 1 up"),
        ({"model": "writer"}, "model", "has no chat template, so it takes no messages; send a"),
        ({"model": "support-intent"}, "model", "text-classification"),
    ],
)
def test_what_is_not_done_here_is_refused_by_its_key(
    call: Call, tier: Answers, keys: dict[str, Any], param: str, words: str
) -> None:
    status, body = post(call, PATH, {"model": "chatter", "messages": HELLO, **keys})
    error = body["error"]
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert (error["code"], words in error["message"]) == ("invalid_value", True), error
    assert tier.requests == []


def test_every_problem_of_the_messages_is_counted_and_the_first_is_named(call: Call) -> None:
    messages = [*HELLO, {"role": "me"}, {"content": "a"}]
    _, body = post(call, PATH, {"model": "chatter", "messages": messages})
    assert body["error"]["message"].startswith("messages/1/role: must be one of system, ")
    assert body["error"]["message"].endswith("and 2 more problems")
