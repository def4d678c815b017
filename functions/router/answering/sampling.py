"""The sending of samples: an event for the sampling function, of which nobody waits for more than its acceptance.

Lambda freezes the router once it has answered, so an event has to be accepted before. It is sent while the GPU tier
answers what is uncertain, and is given up after PATIENCE_S: a sample never fails a request.
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import anyio
import anyio.to_thread

from contracts.cascade.sampling import Sample
from contracts.limits import LAMBDA_EVENT_BYTES

log = logging.getLogger("turnout.router")
PATIENCE_S = 0.1
Draw = Callable[[], float]


class Sender(Protocol):
    """A way to have a function run that nobody waits for; it raises whatever its service raises."""

    def send(self, function: str, payload: bytes) -> None: ...


class Sampling:
    """The sampling function of a deployment, by its name and alias; without one, nothing is sampled.

    `draw` returns random numbers from 0 to 1.
    """

    def __init__(
        self,
        function: str = "",
        sender: Sender | None = None,
        draw: Draw = random.random,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.function, self.sender, self.draw = function, sender, draw
        self.patience_s = patience_s

    @asynccontextmanager
    async def beside(
        self, sample: Sample | None, log_fields: dict[str, Any]
    ) -> AsyncIterator[None]:
        """Send a sample while something else is waited for; `log_fields` receives how many answers were sampled."""
        if sample is None:
            yield
            return
        sending = asyncio.create_task(self.send(sample))
        try:
            yield
        finally:
            if await sending:
                log_fields["sampled"] = len(sample.kept)

    async def send(self, sample: Sample) -> bool:
        """Send a sample, unless it is too large; return whether it was accepted in time."""
        payload = json.dumps(sample.to_wire(), separators=(",", ":")).encode()
        if len(payload) > LAMBDA_EVENT_BYTES or self.sender is None:
            return False
        try:
            with anyio.fail_after(self.patience_s):
                await anyio.to_thread.run_sync(
                    self.sender.send, self.function, payload, abandon_on_cancel=True
                )
        except Exception as error:
            # Its message could repeat what was sent.
            log.warning("a sample is lost: %s", type(error).__name__)
            return False
        return True
