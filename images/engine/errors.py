"""Errors of container engines."""

from contracts.errors import TurnoutError
from contracts.problems import Code


class EngineMissing(TurnoutError):
    """No container engine on this machine answers; the message has the reason of each."""

    code = Code.ENGINE_MISSING


class EngineFailed(TurnoutError):
    """An engine did not do what it was asked to; the message has what it said, and the next step."""

    code = Code.ENGINE_FAILED
