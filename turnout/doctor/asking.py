"""A question to AWS, which it may refuse to answer."""

from collections.abc import Callable
from typing import Any

from turnout.deployed.clients import refusal
from turnout.doctor.finding import Finding, Level


def asked(about: str, call: Callable[[], Any]) -> Any:
    """Return the answer to a call; a Finding that it is not known where AWS refuses it or cannot be reached."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except (BotoCoreError, ClientError) as error:
        message, step = refusal(error)
    return Finding(level=Level.UNKNOWN, about=about, message=message, next_step=step)
