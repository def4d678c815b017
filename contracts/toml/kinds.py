"""Kinds of values that a key takes, each with its name in messages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: its name in messages, its check, and its conversion."""

    name: str
    accepts: Callable[[Any], bool]
    take: Callable[[Any], Any] = staticmethod(lambda value: value)


def is_int(value: Any) -> bool:
    """Return true for a whole number; bool is an int in Python, but `true` is no number in TOML."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    return is_int(value) or isinstance(value, float)


def between(low: int, high: int) -> Kind:
    return Kind(f"a whole number from {low} to {high}", lambda v: is_int(v) and low <= v <= high)


def one_of(*choices: str) -> Kind:
    return Kind("one of " + ", ".join(f'"{c}"' for c in choices), lambda v: v in choices)


TABLE = Kind("a table", lambda v: isinstance(v, dict))
FLAG = Kind("true or false", lambda v: isinstance(v, bool))
