"""The front that an instance of the application answers behind, and the URLs of all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.limits import REQUEST_S

WHOLE, STREAMED = "whole", "streamed"
# What is said of each URL in the OpenAPI document.
SAID = {WHOLE: "Answers come whole", STREAMED: "Answers may come as they are written"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """A front: whether it sends answers as they are written, and the seconds that a request may take behind it.

    `urls` are those of the deployment, by WHOLE and STREAMED, as far as they are known here.
    """

    streams: bool = False
    longest_s: float = REQUEST_S
    urls: Mapping[str, str] = field(default_factory=dict)

    @property
    def servers(self) -> list[dict[str, str]]:
        """Return the servers of the OpenAPI document: this front by its path, as a page may ask no other host; all."""
        if not self.urls:
            return []
        from urllib.parse import urlsplit

        path = urlsplit(self.urls[STREAMED if self.streams else WHOLE]).path
        here = {"url": path or "/", "description": "This front"}
        return [here, *({"url": url, "description": SAID[kind]} for kind, url in self.urls.items())]

    @property
    def refusal(self) -> str:
        """Return why a stream is refused; empty where it is not."""
        if self.streams:
            return ""
        if url := self.urls.get(STREAMED):
            return f"answers come whole here; streams are at {url}/v1"
        return "answers come whole here; leave it out"
