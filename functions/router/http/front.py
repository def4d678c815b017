"""The front that an instance of the application answers behind, and the URLs of all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.limits import REQUEST_S

WHOLE, STREAMED = "whole", "streamed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """A front: whether it sends answers as they are written, and the seconds that a request may take behind it.

    `urls` are those of the deployment, by WHOLE and STREAMED, as far as they are known here.
    """

    streams: bool = False
    longest_s: float = REQUEST_S
    urls: Mapping[str, str] = field(default_factory=dict)

    @property
    def refusal(self) -> str:
        """Return why a stream is refused; empty where it is not."""
        if self.streams:
            return ""
        if url := self.urls.get(STREAMED):
            return f"answers come whole here; streams are at {url}/v1"
        return "answers come whole here; leave it out"
