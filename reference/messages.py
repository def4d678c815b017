"""The messages of the process, and the functions that answer them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]
# Answers the inputs of a row, one answer for each.
Run = Callable[[Message], list[Message]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A folder's model, with what the user's own table says of it: a limit of tokens, names of the labels.

    With `trace`, the model's inputs belong to each answer.
    """

    folder: str
    max_tokens: int | None = None
    labels: Sequence[str] = ()
    trace: bool = False


# Loads a model.
Open = Callable[[Asked], Run]


class WeightsIncomplete(Exception):
    """The weights of a folder are not those of the model that its config describes."""
