"""The events of AWS's streams, read as bytes; every failure in them is a TargetFailed.

https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointWithResponseStream.html
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any

from contracts.http_errors import DeadlineExceeded, ModelFailed, ServingError
from contracts.routes import Target
from functions.router.targets.failures import CUT_OFF, ON_THE_WAY, TargetFailed, failed, problem

Event = Mapping[str, Any]
# Closing them closes the connection, also where what is read from them fails.
Bytes = Generator[bytes, None, None]
# Returns the result of a call of the service; raises TargetFailed for what the service or botocore says.
Guard = Callable[[Callable[[], Event | None]], Event | None]


def function_bytes(target: Target, stream: Any, guard: Guard) -> Bytes:
    """Yield what a function sends, as it comes; its own end has to be in it, since a crash looks like one."""
    with closing(_events(target, stream, guard)) as events:
        for event in events:
            if chunk := event.get("PayloadChunk"):
                yield chunk["Payload"]
            elif code := event.get("InvokeComplete", {}).get("ErrorCode"):
                details = event["InvokeComplete"].get("ErrorDetails")
                raise problem(_function_error(f"{code} {details}"))


def container_bytes(target: Target, stream: Any, guard: Guard) -> Bytes:
    """Yield what a container sends, as it comes."""
    with closing(_events(target, stream, guard)) as events:
        for event in events:
            yield event.get("PayloadPart", {}).get("Bytes", b"")


def _events(target: Target, stream: Any, guard: Guard) -> Generator[Event, None, None]:
    """Yield the events of a stream, and close its connection where nobody reads on."""
    events = iter(stream)
    try:
        while (event := guard(lambda: next(events, None))) is not None:
            yield event
    except TargetFailed:
        raise
    except Exception as error:
        # botocore leaves the errors of urllib3 and of its own parser of events as they are.
        meaning = ON_THE_WAY.get(type(error).__name__, CUT_OFF)
        raise failed(meaning, target.tier, seconds=target.timeout_s) from error
    finally:
        stream.close()


def _function_error(said: str) -> ServingError:
    """Return the error of a function that crashed or timed out; what it said itself stays in its log."""
    if "Sandbox.Timedout" in said or "Task timed out" in said:
        return DeadlineExceeded("the cpu tier ran out of its time")
    return ModelFailed("the cpu tier's function crashed; its log says why")
