"""Errors of the local cloud."""

from contracts.errors import TurnoutError


class LocalError(TurnoutError):
    """The local cloud cannot run or serve a request; the message names the next step."""

    code = "local_cloud_failed"
