"""The loop against a Runtime API over HTTP: what handlers return, and each way in which they and the API fail."""

import json
import os
import queue
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import pytest

from functions.runtime.client import INVOCATION_ID, RuntimeApiError, RuntimeClient
from functions.runtime.loop import Context, run
from functions.runtime.response import HTTP_RESPONSE, Streamed
from images.runtime_api import Answer, End, Handler, RuntimeApi
from tests.functions.runtime.looping import PATIENCE_S, answer_of, chunks_of, looping, send

FAILED = "the function failed; its log says why"


def answered(api: RuntimeApi, response: object) -> Answer:
    """Return the answer to one event of a handler that returns this."""
    with looping(api, lambda event, context: response):
        send(api, {})
        return answer_of(api)


def streamed(*chunks: bytes, prelude: Mapping[str, Any] | None = None) -> Streamed:
    return Streamed(content_type="text/plain", chunks=(c for c in chunks), prelude=prelude)


def fails(message: str) -> Generator[bytes, None, None]:
    raise ValueError(message)
    yield b""


@pytest.mark.parametrize(
    ("response", "payload", "content_type"),
    [
        ({"text": "grün 🎈"}, '{"text": "grün 🎈"}'.encode(), "application/json"),
        (None, b"null", "application/json"),
        (b"\x00\xff", b"\x00\xff", "application/octet-stream"),
    ],
)
def test_what_is_no_stream_is_sent_whole(
    api: RuntimeApi, response: object, payload: bytes, content_type: str
) -> None:
    assert answered(api, response) == Answer(
        request_id="r-1", payload=payload, error=False, content_type=content_type
    )


def test_a_handler_gets_the_event_the_context_and_the_trace(api: RuntimeApi) -> None:
    seen = []

    def handler(event: Any, context: Context) -> None:
        seen.append((event, context, os.environ["_X_AMZN_TRACE_ID"]))

    with looping(api, handler):
        send(api, {"inputs": ["a"]})
        answer_of(api)
    ((event, context, trace),) = seen
    assert event == {"inputs": ["a"]}
    assert (context.aws_request_id, context.invoked_function_arn) == ("r-1", "arn:f")
    assert trace.startswith("Root=1-")
    assert 0 < context.get_remaining_time_in_millis() <= 2**50
    over = Context(aws_request_id="", invoked_function_arn="", deadline_ms=1)
    assert over.get_remaining_time_in_millis() == 0


def test_chunks_are_sent_as_they_come(api: RuntimeApi) -> None:
    """Show it with a handler that writes the next one only when the one before has arrived."""
    arrived = threading.Semaphore(0)

    def chunks() -> Generator[bytes, None, None]:
        for number in range(3):
            yield b"%d" % number
            assert arrived.acquire(timeout=PATIENCE_S)

    with looping(api, lambda event, context: Streamed(content_type="text/plain", chunks=chunks())):
        send(api, {})
        answer = answer_of(api)
        assert (answer.request_id, answer.error, answer.content_type) == (
            "r-1",
            False,
            "text/plain",
        )
        assert answer.chunks is not None
        for number in range(3):
            assert answer.chunks.get(timeout=PATIENCE_S) == b"%d" % number
            assert answer.chunks.empty()
            arrived.release()
        assert answer.chunks.get(timeout=PATIENCE_S) == End()


def test_a_chunk_of_nothing_does_not_end_a_stream(api: RuntimeApi) -> None:
    assert chunks_of(answered(api, streamed(b"", b"a", b"", b"b"))) == ([b"a", b"b"], End())
    assert chunks_of(answered(api, streamed())) == ([], End())


def test_an_http_response_starts_with_its_prelude(api: RuntimeApi) -> None:
    prelude = {"statusCode": 201, "headers": {"Content-Type": "text/event-stream"}, "cookies": []}
    answer = answered(api, streamed(b"data: 1\n\n", prelude=prelude))
    chunks, end = chunks_of(answer)
    head, _, body = b"".join(chunks).partition(bytes(8))
    assert (json.loads(head), body, end) == (prelude, b"data: 1\n\n", End())
    assert (
        answer.content_type
        == HTTP_RESPONSE
        == "application/vnd.awslambda.http-integration-response"
    )


@pytest.mark.parametrize(
    ("handler", "kind", "said"),
    [
        (lambda event, context: 1 / 0, "ZeroDivisionError", FAILED),
        (lambda event, context: {1, 2}, "TypeError", FAILED),
        (
            lambda event, context: Streamed(content_type="text/plain", chunks=fails("secret")),
            "ValueError",
            FAILED,
        ),
    ],
    ids=["raises", "returns what JSON cannot hold", "fails before its first chunk"],
)
def test_a_handler_that_fails_before_anything_is_sent_has_failed(
    api: RuntimeApi,
    handler: Callable[[Any, Context], object],
    kind: str,
    said: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with looping(api, handler):
        send(api, {})
        answer = answer_of(api)
        # The loop goes on.
        send(api, {}, "r-2")
        assert answer_of(api).request_id == "r-2"
    assert (answer.request_id, answer.error, answer.chunks) == ("r-1", True, None)
    assert json.loads(answer.payload) == {
        "errorMessage": said,
        "errorType": kind,
        "stackTrace": [],
    }
    logged = json.loads(capfd.readouterr().err.splitlines()[0])
    assert (logged["request_id"], logged["error"]) == ("r-1", kind)
    assert "loop.py" in logged["trace"]
    assert "message" not in logged
    assert "secret" not in json.dumps({**logged, "trace": ""})


@pytest.mark.parametrize("event", [b"{", b"\xff", b"[" * 100_000], ids=["half", "bytes", "deep"])
def test_an_event_that_is_not_json_is_refused(api: RuntimeApi, event: bytes) -> None:
    with looping(api, lambda event, context: event):
        send(api, event)
        answer = answer_of(api)
    assert (answer.request_id, answer.error) == ("r-1", True)
    assert json.loads(answer.payload)["errorType"] == "Runtime.UnmarshalError"


def test_a_failure_in_the_middle_of_a_stream_is_its_last_word(api: RuntimeApi) -> None:
    def chunks() -> Generator[bytes, None, None]:
        yield b"half a sen"
        raise OSError("secret")

    chunks_sent, end = chunks_of(
        answered(api, Streamed(content_type="text/plain", chunks=chunks()))
    )
    assert chunks_sent == [b"half a sen"]
    assert json.loads(end.error) == {
        "errorMessage": FAILED,
        "errorType": "OSError",
        "stackTrace": [],
    }
    assert not end.cut


class Hanging(Handler):
    """A Runtime API that drops the connection of a stream after its first chunk."""

    def _chunks(self) -> Iterator[bytes]:
        yield next(super()._chunks())
        raise ConnectionError


def test_a_stream_that_nobody_takes_any_more_ends_the_work(
    api: RuntimeApi, capfd: pytest.CaptureFixture[str]
) -> None:
    api.server.RequestHandlerClass = Hanging
    closed = threading.Event()

    def chunks() -> Generator[bytes, None, None]:
        try:
            while True:
                yield bytes(1000)
        finally:
            closed.set()

    def handler(event: Any, context: Context) -> object:
        return event or Streamed(content_type="text/plain", chunks=chunks())

    with looping(api, handler):
        send(api, {})
        first = answer_of(api)
        assert chunks_of(first)[1] == End(cut=True)
        assert closed.wait(PATIENCE_S)
        # The loop goes on.
        send(api, {"next": 1}, "r-2")
        assert answer_of(api).payload == b'{"next": 1}'
    assert "the Runtime API broke off" in capfd.readouterr().err


class Refusing(Handler):
    """A Runtime API that takes no response of the first request."""

    def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        refused = status == 202 and "/r-1/" in self.path
        super()._reply(413 if refused else status, body, headers)


@pytest.mark.parametrize("response", [{"large": True}, None], ids=["whole", "streamed"])
def test_a_response_that_is_refused_is_logged_and_the_loop_goes_on(
    api: RuntimeApi, response: object, capfd: pytest.CaptureFixture[str]
) -> None:
    api.server.RequestHandlerClass = Refusing
    with looping(api, lambda event, context: response or streamed(b"a")):
        send(api, {})
        answer_of(api)
        send(api, {}, "r-2")
        assert answer_of(api).request_id == "r-2"
    assert "the Runtime API answered 413" in capfd.readouterr().err


class Identified(Handler):
    """A Runtime API of an environment that serves several invocations at once: it names each, and none is traced."""

    def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        headers.pop("Lambda-Runtime-Trace-Id", None)
        super()._reply(status, body, {**headers, INVOCATION_ID: "i-1"})

    def do_POST(self) -> None:
        super().do_POST()
        names.put(self.headers.get(INVOCATION_ID, ""))


names: "queue.Queue[str]" = queue.Queue()


def test_the_name_of_an_invocation_goes_back_with_every_kind_of_response(api: RuntimeApi) -> None:
    api.server.RequestHandlerClass = Identified
    os.environ["_X_AMZN_TRACE_ID"] = "of another"
    traced = []

    def handler(event: Any, context: Context) -> object:
        traced.append("_X_AMZN_TRACE_ID" in os.environ)
        return {"whole": 1, "stream": streamed(b"a")}[event]

    with looping(api, handler):
        for event in ("whole", "stream", "neither"):
            send(api, event)
            answer_of(api)
    assert [names.get(timeout=PATIENCE_S) for _ in range(3)] == ["i-1"] * 3
    assert traced == [False] * 3


def test_the_loop_ends_with_the_runtime_api() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def drop() -> None:
            server.accept()[0].close()

        thread = threading.Thread(target=drop)
        thread.start()
        with pytest.raises(RuntimeApiError, match="broke off"):
            run(lambda event, context: event, RuntimeClient(address))
        thread.join(PATIENCE_S)
    with pytest.raises(RuntimeApiError, match="ConnectionRefusedError"):
        run(lambda event, context: event, RuntimeClient(address))
