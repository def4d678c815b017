"""The front that an instance of the application answers behind, and the URLs of all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.http_errors import DeadlineExceeded, InvalidInput, RequestProblem
from contracts.limits import (
    GATEWAY_TIMEOUT_S,
    REQUEST_S,
    STREAM_INTEGRATION_TIMEOUT_S,
    STREAM_QUIET_S,
)

WHOLE, STREAMED = "whole", "streamed"
HERE = {"url": ".", "description": "Where this document is"}
# What is said of each URL in the OpenAPI document.
SAID = {WHOLE: "Answers come whole", STREAMED: "Answers may come as they are written"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """A front: whether it sends answers as they are written, and the seconds that a request may take behind it.

    Its gateway waits for `gateway_s`, and after `quiet_s` without a word it is sent one. `urls` are those of the
    deployment, by WHOLE and STREAMED, as far as they are known here.
    """

    streams: bool = False
    longest_s: float = REQUEST_S
    gateway_s: int = GATEWAY_TIMEOUT_S
    quiet_s: float = STREAM_QUIET_S
    urls: Mapping[str, str] = field(default_factory=dict)

    @property
    def servers(self) -> list[dict[str, str]]:
        """Return the servers of the OpenAPI document: the one that it is read from, as a page may ask no other; all."""
        named = [{"url": url, "description": SAID[kind]} for kind, url in self.urls.items()]
        return [HERE, *named] if named else []

    @property
    def refusal(self) -> str:
        """Return why a stream is refused; empty where it is not."""
        if self.streams:
            return ""
        if url := self.urls.get(STREAMED):
            return f"answers come whole here; streams are at {url}/v1"
        return "answers come whole here; leave it out"

    @property
    def longest_deadline_ms(self) -> int:
        return self.gateway_s * 1000

    def check_deadline(self, deadline_ms: int | None) -> None:
        """Raise InvalidInput for a deadline after which the gateway has given up."""
        if deadline_ms is None or deadline_ms <= self.longest_deadline_ms:
            return
        detail = f"must be at most {self.longest_deadline_ms} here{self._elsewhere}"
        raise InvalidInput(
            f"/deadline_ms: {detail}",
            problems=[RequestProblem(pointer="/deadline_ms", detail=detail)],
        )

    def late(self, error: DeadlineExceeded) -> DeadlineExceeded:
        """Return the error of a text that was not written in time, with the front that has more of it."""
        return DeadlineExceeded(f"{error}{self._elsewhere}")

    @property
    def _elsewhere(self) -> str:
        """Return where requests have more time; empty where that is nowhere."""
        url = "" if self.streams else self.urls.get(STREAMED)
        return (
            f"; requests to {url} have {STREAM_INTEGRATION_TIMEOUT_S // 60} minutes" if url else ""
        )
