"""Callers who never stop while a deployment is changed, and what they are answered."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle

from turnout.client import Endpoint, predict

PAUSE_S = 0.05
# The longest that a caller waits, behind starts of the router and of the model.
LONGEST_S = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A tier of a model."""

    model: str
    tier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer with its status, and the version that gave it or the words of the problem."""

    target: Target
    status: int
    said: str
    at_s: float


@dataclass(slots=True, kw_only=True)
class Traffic:
    """A caller for each tier, who asks its models in turn, between `start` and `stop`."""

    endpoint: Endpoint
    answers: list[Answer] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def start(self, targets: Sequence[Target]) -> None:
        """Call the targets from now on, and return when each has answered once."""
        self.answers, self.ended, begin = [], threading.Event(), time.monotonic()
        tiers = sorted({target.tier for target in targets})
        of_tier = [[target for target in targets if target.tier == tier] for tier in tiers]
        self.threads = [
            threading.Thread(target=self._call, args=(asked, begin, self.ended), daemon=True)
            for asked in of_tier
        ]
        for thread in self.threads:
            thread.start()
        self.wait(targets)

    def wait(self, targets: Sequence[Target]) -> None:
        """Return when each target has answered once more, however slow the machine is."""
        seen, deadline = len(self.answers), time.monotonic() + LONGEST_S
        while {one.target for one in self.answers[seen:]} != set(targets):
            assert time.monotonic() < deadline, "a target is not asked any more"
            time.sleep(PAUSE_S)

    def until(self, target: Target, version: str) -> Answer:
        """Ask until that version answers, and return the last answer, which is another's after the longest time."""
        deadline = time.monotonic() + LONGEST_S
        while True:
            answer = self.ask(target)
            if answer.said == version or answer.status != 200 or time.monotonic() > deadline:
                return answer
            time.sleep(PAUSE_S)

    def stop(self) -> list[Answer]:
        """Return all answers, those to requests that were under way as well."""
        self.ended.set()
        for thread in self.threads:
            thread.join(timeout=LONGEST_S)
            assert not thread.is_alive(), f"a request has no answer after {LONGEST_S} s"
        return self.answers

    def _call(self, targets: Sequence[Target], begin: float, ended: threading.Event) -> None:
        for target in cycle(targets):
            if ended.is_set():
                return
            self.answers.append(self.ask(target, begin))
            ended.wait(PAUSE_S)

    def ask(self, target: Target, begin: float = 0.0) -> Answer:
        """Return the answer to one request."""
        reply = predict(self.endpoint, target.model, {"inputs": "lovely", "tier": target.tier})
        at_s = round(time.monotonic() - begin, 2)
        said = reply.body["version"] if reply.status == 200 else str(reply.body)
        return Answer(target=target, status=reply.status, said=said, at_s=at_s)
