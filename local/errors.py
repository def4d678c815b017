"""What keeps the local cloud from running."""


class LocalError(Exception):
    """The local cloud cannot do what was asked; the message says what to do."""
