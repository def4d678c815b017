"""The error that every other error of Turnout derives from; those of HTTP answers are in `contracts/http_errors.py`."""

from typing import ClassVar


class TurnoutError(Exception):
    """An error that a user can see; its message names the thing, the limit and the next step.

    `code` is stable: messages may be reworded, and programs and tests match on the code.
    """

    code: ClassVar[str] = "error"
