"""A finding of a rule."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stacks.rules.document import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place where a template breaks a rule: a logical id, a property of it, and a sentence with the next step."""

    resource: str
    place: str
    message: str


# A rule's code is the name of its function, and the first line of its docstring says what it is for.
Rule = Callable[[Document], Iterator[Finding]]
