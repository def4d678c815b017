"""The form of a chat: what is taken, and the place of what is not."""

from typing import Any

import pytest

from contracts.api.chat import CHAT, chat_problems
from contracts.api.json_schema import matches
from contracts.http_errors import InvalidInput
from contracts.prediction import PredictRequest, parse_request

PARTS = [{"type": "text", "text": "a"}, {"type": "text", "text": ""}]
CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}
RIGHT: list[dict[str, Any]] = [
    {"role": "system", "content": ""},
    {"role": "developer", "content": "Be short."},
    {"role": "user", "content": PARTS, "name": "ann"},
    {"role": "assistant", "content": "Yes."},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "5", "tool_call_id": "call_1"},
]


def test_every_role_and_both_forms_of_a_content_are_taken() -> None:
    chat = {"messages": RIGHT}
    assert matches(chat, CHAT.schema)
    assert parse_request({"inputs": chat}) == PredictRequest(inputs=(chat,))
    assert parse_request({"inputs": ["a", chat]}).inputs == ("a", chat)


def test_all_texts_of_a_chat_count() -> None:
    chat = {"messages": [{"role": "user", "content": PARTS}, {"role": "user", "content": "four"}]}
    # With the roles, and the types of the parts.
    assert PredictRequest(inputs=(chat,)).chars == len("useratexttextuserfour")


@pytest.mark.parametrize(
    ("messages", "place", "words"),
    [
        ([], (), "one at least"),
        ("hello", (), "a list of messages"),
        (None, (), "a list of messages"),
        (["hello"], ("0",), "an object"),
        ([{}], ("0", "role"), "one of system"),
        ([{"role": ["user"], "content": "a"}], ("0", "role"), "one of system"),
        ([*RIGHT, {"role": "user"}], ("6", "content"), "a text, or a list of parts"),
        ([{"role": "user", "content": []}], ("0", "content"), "a list of parts"),
        ([{"role": "user", "content": [{"type": "text"}]}], ("0", "content"), '"text": "..."'),
        ([{"role": "user", "content": ["a"]}], ("0", "content"), "a list of parts"),
        ([{"role": "user", "content": "a", "name": None}], ("0", "name"), "a text"),
        ([{"role": "user", "content": "a", "weight": 1}], ("0", "weight"), "role, content, name"),
        ([{"role": "user", "content": "\udfff"}], ("0", "content"), "surrogate"),
        (
            [{"role": "assistant", "content": "", "tool_calls": [{"id": "call_1"}]}],
            ("0", "tool_calls"),
            '"arguments"',
        ),
        (
            [{"role": "assistant", "content": "", "tool_calls": [{**CALL, "id": "\ud800"}]}],
            ("0", "tool_calls", "0", "id"),
            "surrogate",
        ),
        ([{"role": "user", "content": "a", "name": "\udfff"}], ("0", "name"), "surrogate"),
        (
            [{"role": "user", "content": [*PARTS, {"type": "text", "text": "\ud800"}]}],
            ("0", "content", "2", "text"),
            "surrogate",
        ),
    ],
)
def test_a_problem_has_its_place(messages: Any, place: tuple[str, ...], words: str) -> None:
    first, *_ = chat_problems(messages)
    assert (first[0], words in first[1]) == (place, True), first
    with pytest.raises(InvalidInput) as raised:
        parse_request({"inputs": ["a", {"messages": messages}]})
    assert raised.value.problems[0].pointer == "/".join(("/inputs/1/messages", *place))
    assert any(words in problem.detail for problem in raised.value.problems)


def test_a_form_that_has_no_problem_matches_the_schema_and_no_other_does() -> None:
    for changes in ({}, {"role": "me"}, {"content": 5}, {"name": 5}, {"more": 1}):
        messages = [{"role": "user", "content": "a", **changes}]
        fine = list(chat_problems(messages)) == []
        assert fine == matches({"messages": messages}, CHAT.schema) == (changes == {})
