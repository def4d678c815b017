"""The functions behind REST APIs, invoked by InvokeWithResponseStream."""

from collections.abc import Iterator

from local.control.data_plane import StreamEnd
from local.control.lambdas import TooManyRequests, stream_function
from local.rest.gateway import Broken


def stream(arn: str, payload: bytes) -> Iterator[bytes]:
    """Yield what a function sends; raise Broken where it fails, or is throttled."""
    try:
        _, sent = stream_function(arn.split(":")[3], arn, None, payload)
    except TooManyRequests:
        raise Broken from None
    for item in sent:
        if not isinstance(item, StreamEnd):
            yield item
        elif item.error:
            raise Broken
