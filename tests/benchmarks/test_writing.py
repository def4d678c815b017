"""The benchmark of first and further tokens, on servers that write at a scripted pace."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from benchmarks.writing.__main__ import (
    LONGER,
    Chat,
    Sample,
    by_turns,
    chats,
    elapsed_ms,
    measure,
    processor_ms,
)
from benchmarks.writing.servers import processor_s


@dataclass(slots=True)
class Pretended:
    """A server that computes nothing, and writes as many tokens as it is asked for, or fewer."""

    most: int = LONGER
    asked: list[int] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return os.getpid()

    def write(self, messages: Chat, tokens: int) -> Iterator[int]:
        self.asked.append(tokens)
        yield 0
        yield min(tokens, self.most)


def test_a_short_and_a_long_chat_are_asked() -> None:
    lengths = [len(chat[0]["content"]) for chat in chats().values()]
    assert lengths[0] < 60 < 1_000 < lengths[1]


def test_the_tokens_of_a_text_are_those_that_its_server_has_counted() -> None:
    found = measure(Pretended(most=7), chats()["question"], 9)
    assert (found.processor_s >= 0, found.tokens) == (True, 7)
    assert 0 < found.first_s <= found.elapsed_s


def test_a_further_token_takes_what_a_longer_text_takes_more() -> None:
    def pair(first: float, whole: float) -> tuple[Sample, Sample]:
        one = Sample(processor_s=first, first_s=1, elapsed_s=1, tokens=1)
        return one, Sample(processor_s=whole, first_s=1, elapsed_s=1, tokens=11)

    assert processor_ms([pair(0.2, 0.5), pair(0.1, 0.2), pair(0.3, 0.5)]) == {
        "processor ms to the first token": 200,
        "processor ms of a further one": 20.0,
    }


def test_a_caller_waits_for_the_first_piece_and_then_for_each_token() -> None:
    samples = [
        Sample(processor_s=0, first_s=first, elapsed_s=whole, tokens=11)
        for first, whole in ((0.2, 0.5), (0.1, 0.2), (0.3, 0.5))
    ]
    assert elapsed_ms(samples) == {"ms to the first token": 200, "ms of a further one": 20.0}


def test_servers_take_turns_and_the_first_round_warms_up() -> None:
    one, other = Pretended(), Pretended()
    rows = by_turns({"a": one, "b": other}, threads=2, rounds=3)
    assert one.asked == other.asked == [1, LONGER] * 2 * 4
    assert [(row["what"], row["prompt"]) for row in rows] == [
        ("a", "page"),
        ("a", "question"),
        ("b", "page"),
        ("b", "question"),
    ]
    quiet = by_turns({"a": Pretended()}, threads=2, rounds=1, quiet=True)
    assert {*quiet[0]} - {*rows[0]} == {"ms to the first token", "ms of a further one"}


def test_a_text_that_ends_at_once_is_no_measurement() -> None:
    with pytest.raises(AssertionError, match="a ended at once"):
        by_turns({"a": Pretended(most=1)}, threads=1, rounds=1)


def test_processor_time_is_that_of_all_threads() -> None:
    before = processor_s(os.getpid())
    sum(range(2_000_000))
    assert processor_s(os.getpid()) > before
