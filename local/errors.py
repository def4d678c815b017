"""What keeps the local cloud from running."""

from contracts.errors import TurnoutError


class LocalError(TurnoutError):
    """The local cloud cannot do what was asked; the message says what to do."""

    code = "local_cloud_failed"
