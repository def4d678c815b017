"""`InvokeEndpointWithResponseStream`: what a container sends, as events of SageMaker.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointWithResponseStream.html
"""

from collections.abc import Callable, Iterable, Iterator
from http.client import HTTPException
from typing import Any

from local.streams.messages import EVENT_STREAM, exception, part
from local.wsgi import Reply, streamed

# The end of the operation's path.
STREAMED = "/invocations-response-stream"
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_ModelStreamError.html
TOO_LATE, BROKEN = "ModelInvocationTimeExceeded", "StreamBroken"


def events(start: Callable[..., Any], reply: Reply) -> Iterable[bytes]:
    """Answer with the parts of a container's response as they come, and with what breaks them off."""
    kind = reply.headers["Content-Type"]
    headers = {**reply.headers, "Content-Type": EVENT_STREAM, "X-Amzn-SageMaker-Content-Type": kind}
    streamed(start, headers)
    return _events(reply.parts or iter(()))


def _events(parts: Iterator[bytes]) -> Iterator[bytes]:
    try:
        for each in parts:
            yield part("PayloadPart", each)
    except TimeoutError:
        message = "The model sent nothing within the time that SageMaker waits."
        yield exception("ModelStreamError", {"Message": message, "ErrorCode": TOO_LATE})
    # The last for a chunk whose size is missing.
    except (OSError, HTTPException, ValueError):
        message = "The connection to the model was closed."
        yield exception("ModelStreamError", {"Message": message, "ErrorCode": BROKEN})
