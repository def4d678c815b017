"""AWS's own client reads what a function streams as it comes, and how that ended."""

import base64
import json
import queue
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from urllib3.exceptions import ProtocolError

from local.chaos.script import Fault, Scripted
from local.chaos.services import SERVICES, Called
from local.control.data_plane import StreamEnd
from local.functions.pool import pumped
from tests.fixtures.local_cloud_client import HANDLERS, LocalCloudClient
from tests.fixtures.paths import ROOT

# Nothing here takes long; a test that waits this long has failed.
PATIENCE_S = 60
# A handler that does what each word of an event says; `wait` until a file is there.
CODE = f"""
import os, pathlib, sys, time
sys.path.append({str(ROOT)!r})
from functions.runtime.loop import take_over
from functions.runtime.response import Streamed

def chunks(event):
    for word in event["words"]:
        if word == "wait":
            while not os.path.exists(event["file"]):
                time.sleep(0.01)
        elif word == "write":
            pathlib.Path(event["file"]).write_text("written")
        elif word == "exit":
            os._exit(3)
        elif word == "fail":
            raise ValueError("secret")
        elif word == "hang":
            time.sleep(600)
        else:
            print("sends", word)
            yield word.encode()

def handler(event, context):
    if "whole" in event:
        return event
    return Streamed(content_type="text/plain", chunks=chunks(event))

take_over(handler)
"""


@pytest.fixture(scope="module")
def function(local_cloud: LocalCloudClient) -> str:
    return local_cloud.function("streams", "handler", code=CODE, timeout_s=PATIENCE_S)


def events_of(
    local_cloud: LocalCloudClient, name: str, event: object, **more: Any
) -> Iterator[Any]:
    reply = local_cloud.client("lambda").invoke_with_response_stream(
        FunctionName=name, Payload=json.dumps(event), **more
    )
    assert reply["StatusCode"] == 200
    assert reply["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    return iter(reply["EventStream"])


def streamed(
    local_cloud: LocalCloudClient, name: str, event: object, **more: Any
) -> tuple[list[str], dict[str, str]]:
    """Return the chunks of a stream, and its end."""
    *chunks, end = events_of(local_cloud, name, event, **more)
    return [chunk["PayloadChunk"]["Payload"].decode() for chunk in chunks], end["InvokeComplete"]


def test_the_first_chunk_is_received_before_the_last_is_written(
    local_cloud: LocalCloudClient, function: str, tmp_path: Path
) -> None:
    file = tmp_path / "go"
    events = events_of(local_cloud, function, {"words": ["a", "wait", "b"], "file": str(file)})
    assert next(events) == {"PayloadChunk": {"Payload": b"a"}}
    file.touch()
    assert list(events) == [{"PayloadChunk": {"Payload": b"b"}}, {"InvokeComplete": {}}]


def test_a_plain_call_gets_all_of_a_stream_at_once(
    local_cloud: LocalCloudClient, function: str
) -> None:
    payload = json.dumps({"words": ["12", "34"]})
    reply = local_cloud.client("lambda").invoke(FunctionName=function, Payload=payload)
    assert (reply["Payload"].read(), reply.get("FunctionError")) == (b"1234", None)
    answer, error = local_cloud.invoke(function, {"words": ["12", "fail"]})
    assert (answer["errorType"], error) == ("ValueError", "Unhandled")
    assert local_cloud.invoke(function, {"whole": 1}) == ({"whole": 1}, None)


@pytest.mark.parametrize(
    ("words", "sent", "kind", "said"),
    [
        (["a", "exit"], ["a"], "Runtime.ExitError", "exit status 3"),
        (["exit"], [], "Runtime.ExitError", "exit status 3"),
        (["a", "b", "fail"], ["a", "b"], "ValueError", "its log says why"),
        (["fail"], [], "ValueError", "its log says why"),
    ],
)
def test_a_failure_is_the_end_of_a_stream(
    local_cloud: LocalCloudClient,
    function: str,
    words: list[str],
    sent: list[str],
    kind: str,
    said: str,
) -> None:
    chunks, end = streamed(local_cloud, function, {"words": words})
    assert (chunks, end["ErrorCode"]) == (sent, kind)
    assert said in json.loads(end["ErrorDetails"])["errorMessage"]
    assert streamed(local_cloud, function, {"words": ["again"]}) == (["again"], {})


def test_a_stream_that_takes_too_long_is_ended(local_cloud: LocalCloudClient) -> None:
    name = local_cloud.function("late-stream", "handler", code=CODE, timeout_s=2)
    chunks, end = streamed(local_cloud, name, {"words": ["a", "hang"]})
    assert (chunks, end["ErrorCode"]) == (["a"], "Sandbox.Timedout")
    assert "timed out after 2.00 seconds" in end["ErrorDetails"]


def test_a_function_whose_caller_has_gone_writes_on(
    local_cloud: LocalCloudClient, function: str, tmp_path: Path
) -> None:
    """Show that as on AWS it is not told."""
    go, written = tmp_path / "go", tmp_path / "written"
    reply = local_cloud.client("lambda").invoke_with_response_stream(
        FunctionName=function,
        Payload=json.dumps({"words": ["a", "wait", *["b"] * 20], "file": str(go)}),
    )
    assert next(iter(reply["EventStream"]))
    reply["EventStream"].close()
    go.touch()
    # The next request gets an environment of its own while it runs.
    streamed(local_cloud, function, {"words": ["write"], "file": str(written)})
    until = time.monotonic() + PATIENCE_S
    while local_cloud.log(function).count("sends b") < 20 and time.monotonic() < until:
        time.sleep(0.01)
    assert local_cloud.log(function).count("sends b") >= 20


def test_a_response_that_is_not_streamed_is_one_chunk(local_cloud: LocalCloudClient) -> None:
    name = local_cloud.function("whole", "echo", code=HANDLERS)
    chunks, end = streamed(local_cloud, name, {"n": 1})
    assert [json.loads(chunk)["event"] for chunk in chunks] == [{"n": 1}]
    assert end == {}


def test_a_version_is_chosen_and_named(local_cloud: LocalCloudClient, function: str) -> None:
    api = local_cloud.client("lambda")
    api.publish_version(FunctionName=function)
    api.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    for address, qualifier in ((f"{function}:live", {}), (function, {"Qualifier": "live"})):
        reply = api.invoke_with_response_stream(
            FunctionName=address, Payload=b'{"words": ["a"]}', **qualifier
        )
        assert reply["ExecutedVersion"] == "1"
        assert len(list(reply["EventStream"])) == 2


def test_the_end_has_the_log_where_it_is_asked_for(
    local_cloud: LocalCloudClient, function: str
) -> None:
    _, end = streamed(local_cloud, function, {"words": ["logged"]}, LogType="Tail")
    assert "sends logged" in base64.b64decode(end["LogResult"]).decode()


def refused(local_cloud: LocalCloudClient, name: str, payload: bytes = b"{}") -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        local_cloud.client("lambda").invoke_with_response_stream(FunctionName=name, Payload=payload)
    found = caught.value.response
    return found["ResponseMetadata"]["HTTPStatusCode"], found["Error"]["Code"]


def test_what_cannot_be_run_is_refused_before_a_stream(
    local_cloud: LocalCloudClient, function: str
) -> None:
    assert refused(local_cloud, "nothing") == (404, "ResourceNotFoundException")
    assert refused(local_cloud, f"{function}:nothing") == (404, "ResourceNotFoundException")
    large = b'"' + b"x" * (6 * 1024 * 1024) + b'"'
    assert refused(local_cloud, function, large) == (413, "RequestTooLargeException")
    pool = local_cloud.cloud.functions
    pool.concurrency, before = 0, pool.concurrency
    try:
        assert refused(local_cloud, function) == (429, "TooManyRequestsException")
    finally:
        pool.concurrency = before


def test_faults_meet_streams_as_they_meet_other_calls(
    local_cloud: LocalCloudClient, function: str
) -> None:
    chaos, of = local_cloud.cloud.chaos, Called(service="lambda", name=function)

    def begin(kind: Fault, **more: Any) -> None:
        chaos.begin((Scripted(target="streams", kind=kind, of=of, **more),))

    try:
        begin(Fault.CRASH)
        assert streamed(local_cloud, function, {"words": ["a"]})[1]["ErrorCode"] == (
            "Runtime.ExitError"
        )
        begin(Fault.THROTTLE, error=SERVICES["lambda"].throttled)
        assert refused(local_cloud, function) == (429, "TooManyRequestsException")
        begin(Fault.CUT)
        with pytest.raises(ProtocolError, match="ended prematurely"):
            streamed(local_cloud, function, {"words": ["a"]})
    finally:
        chaos.begin(())


def test_a_stream_may_have_no_more_bytes_than_lambda_sends() -> None:
    sent: queue.Queue[bytes | StreamEnd] = queue.Queue()

    def chunks() -> Generator[bytes, None, bytes | None]:
        yield b"1234"
        yield b"5678"
        return None

    failed = pumped(chunks(), sent, 7)
    assert failed is not None
    assert json.loads(failed)["errorType"] == "Function.ResponseSizeTooLarge"
    assert (sent.get(), sent.empty()) == (b"1234", True)
    assert pumped(chunks(), sent, 8) is None
