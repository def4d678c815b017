"""The errors that all others derive from; those of HTTP answers are in `contracts/http_errors.py`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


class TurnoutError(Exception):
    """An error that a user can see; its message names the thing, the limit and the next step.

    `code` is stable: messages may be reworded, and programs and tests match on the code.
    """

    code: ClassVar[str] = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestProblem:
    """One problem of a request: a JSON pointer (RFC 6901) to its place, and a sentence."""

    pointer: str
    detail: str


class ServingError(TurnoutError):
    """A failure that the caller cannot repair; the base of all other errors of serving."""

    status = 500
    code = "internal_error"
    title = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        problems: Iterable[RequestProblem] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problems = tuple(problems)
        self.retry_after_s = retry_after_s
