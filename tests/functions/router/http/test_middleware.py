"""The middleware around every request, over applications that misbehave."""

import asyncio
import json
import logging
import threading
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.router.http.lambda_adapter import adapt_to_lambda
from functions.router.http.middleware import KeepAliveMiddleware, RequestMiddleware
from tests.fixtures.router_app import event
from tests.functions.event_loop import run_coroutine


def messages_of(app: ASGIApp, kind: str = "http") -> list[Message]:
    """Return every message that the application sends for one request."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    scope: dict[str, Any] = {"type": kind, "method": "GET", "path": "/x", "headers": []}
    run_coroutine(RequestMiddleware(KeepAliveMiddleware(app, 0.01))(scope, receive, send))
    return messages


async def fails_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    raise KeyError("secret")


async def fails_halfway(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise KeyError("secret")


async def another_protocol(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": f"{scope['type']}.accept"})


def test_a_failure_before_the_answer_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    start, body = messages_of(fails_at_once)
    assert start["status"] == 500
    assert b"secret" not in body["body"]
    assert "KeyError" in caplog.text


def test_a_failure_within_the_answer_starts_no_second_one(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "turnout.access"):
        messages = messages_of(fails_halfway)
    assert [message["type"] for message in messages] == ["http.response.start"]
    assert '"status":200' in caplog.messages[-1]


def test_what_is_not_http_is_passed_on() -> None:
    assert messages_of(another_protocol, "websocket") == [{"type": "websocket.accept"}]


def test_a_pause_within_a_body_is_none_to_be_filled() -> None:
    async def pauses(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": b"whole"})

    _, body = messages_of(pauses)
    assert body == {"type": "http.response.body", "body": b"whole"}


def test_an_answer_that_is_over_is_not_kept_alive() -> None:
    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        # Until its silence is being watched.
        await asyncio.sleep(0.001)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def left() -> set[str]:
        async def receive() -> Message:
            return {}

        async def send(message: Message) -> None:
            pass

        await KeepAliveMiddleware(answers, 3600)({"type": "http"}, receive, send)
        return {str(task) for task in asyncio.all_tasks() - {asyncio.current_task()}}

    assert run_coroutine(left()) == set()


def test_a_thread_without_an_event_loop_is_given_one() -> None:
    """Run in a new thread, where Python 3.14 raises an error if a program gets the event loop."""
    answers: list[Any] = []

    async def fine(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def run() -> None:
        answers.append(adapt_to_lambda(fine)(event("GET", "/x"), None))  # type: ignore[arg-type]
        asyncio.get_event_loop().close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert answers[0]["statusCode"] == 204


def test_a_request_has_the_gateways_id_in_its_line_and_its_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fine(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    sent = event("GET", "/x")
    with caplog.at_level(logging.INFO, "turnout.access"):
        response = adapt_to_lambda(RequestMiddleware(fine))(sent, None)  # type: ignore[arg-type]
    identity = sent["requestContext"]["requestId"]
    assert response["headers"]["x-request-id"] == identity
    assert json.loads(caplog.messages[-1])["request_id"] == identity
