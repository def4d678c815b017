"""The responses of a handler that are not JSON: a stream, with or without the start of an HTTP response."""

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

# https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
HTTP_RESPONSE = "application/vnd.awslambda.http-integration-response"
PRELUDE_END = bytes(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """A body that is sent as its chunks come; they are closed when the caller or the Runtime API is gone.

    With `prelude`, an object of `statusCode`, `headers` and `cookies`, it is an HTTP response of a gateway or a
    function URL, and `content_type` is only told by those headers.
    """

    content_type: str
    chunks: Generator[bytes, None, None]
    prelude: Mapping[str, Any] | None = None

    @property
    def sent_type(self) -> str:
        """Return the content type of what is sent."""
        return self.content_type if self.prelude is None else HTTP_RESPONSE

    @property
    def head(self) -> bytes:
        """Return what is sent before the chunks."""
        return b"" if self.prelude is None else json.dumps(self.prelude).encode() + PRELUDE_END
