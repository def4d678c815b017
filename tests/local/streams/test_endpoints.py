"""AWS's own client reads what a container streams as it comes, and what breaks it off."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from local.images import build
from tests.fixtures.local_cloud_client import LOCK, LocalCloudClient

COMPONENT = "writer"
# Nothing here takes long; a test that waits this long has failed.
PATIENCE_S = 60
# A container by SageMaker's contract: it does what each word of a body says; `wait` until a file is there.
SERVER = """
import os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def do_POST(self):
        words = self.rfile.read(int(self.headers["Content-Length"])).decode().split()
        if words == ["bad"]:
            self.send_response(422); self.send_header("Content-Length", "3"); self.end_headers()
            return self.wfile.write(b"bad")
        self.send_response(200)
        self.send_header("content-type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for word in words:
            if word.startswith("wait:"):
                while not os.path.exists(word[5:]): time.sleep(0.01)
            elif word.startswith("until-gone:"):
                self.until_gone(word[11:])
            elif word == "exit": os._exit(9)
            elif word == "close":
                self.close_connection = True
                return
            else:
                self.send(word.encode())
        self.wfile.write(b"0\\r\\n\\r\\n")
    def send(self, data):
        self.wfile.write(b"%x\\r\\n%b\\r\\n" % (len(data), data)); self.wfile.flush()
    def until_gone(self, file):
        try:
            while True: self.send(b"x" * 1000)
        except OSError:
            open(file, "w").close()
            raise
    def log_message(self, *a): pass
ThreadingHTTPServer((os.environ["TURNOUT_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""
DOCKERFILE = """FROM x
WORKDIR /opt/app
COPY requirements.txt server.py ./
ENTRYPOINT ["python", "server.py"]
"""


@pytest.fixture(scope="module")
def cloud(
    local_cloud: LocalCloudClient, tmp_path_factory: pytest.TempPathFactory
) -> LocalCloudClient:
    context = tmp_path_factory.mktemp("context")
    (context / "server.py").write_text(SERVER, "utf-8")
    (context / "requirements.txt").write_text(LOCK.read_text("utf-8"), "utf-8")
    (context / "Dockerfile").write_text(DOCKERFILE, "utf-8")
    store = local_cloud.cloud.state / "images"
    build(context, context / "Dockerfile", store / "tag", "").save(store, "tag")
    local_cloud.cloud.containers.start(COMPONENT, "local:tag", {}, PATIENCE_S)
    return local_cloud


def called(cloud: LocalCloudClient, body: str, component: str = COMPONENT) -> Any:
    return cloud.client("sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName="any", InferenceComponentName=component, Body=body.encode()
    )


@contextmanager
def events_of(cloud: LocalCloudClient, body: str) -> Iterator[Iterator[Any]]:
    reply = called(cloud, body)
    assert reply["ContentType"] == "application/x-ndjson"
    assert reply["InvokedProductionVariant"] == "main"
    with closing(reply["Body"]):
        yield iter(reply["Body"])


def waited_for(happened: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE_S
    while not happened() and time.monotonic() < until:
        time.sleep(0.01)
    return happened()


def test_the_first_part_is_received_before_the_last_is_written(
    cloud: LocalCloudClient, tmp_path: Path
) -> None:
    with events_of(cloud, f"a wait:{tmp_path / 'go'} b") as events:
        assert next(events) == {"PayloadPart": {"Bytes": b"a"}}
        (tmp_path / "go").touch()
        assert list(events) == [{"PayloadPart": {"Bytes": b"b"}}]


@pytest.mark.parametrize("how", ["close", "exit"])
def test_a_container_that_breaks_off_is_an_error_event(cloud: LocalCloudClient, how: str) -> None:
    with events_of(cloud, f"a {how}") as events:
        assert next(events) == {"PayloadPart": {"Bytes": b"a"}}
        with pytest.raises(EventStreamError) as caught:
            list(events)
    assert caught.value.response["Error"]["Code"] == "ModelStreamError"
    containers = cloud.cloud.containers.containers
    if how == "exit":
        assert waited_for(lambda: not containers[COMPONENT].alive)
        # It is started again, as SageMaker does.
        with pytest.raises(ClientError, match="started again"):
            called(cloud, "a")
        assert waited_for(lambda: containers[COMPONENT].ping() == 200)
    with events_of(cloud, "b") as events:
        assert list(events) == [{"PayloadPart": {"Bytes": b"b"}}]


def test_a_container_is_left_by_a_caller_who_leaves(
    cloud: LocalCloudClient, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    with events_of(cloud, f"a until-gone:{gone}") as events:
        assert next(events)
    assert waited_for(gone.exists)
    containers = cloud.cloud.containers.containers
    assert waited_for(lambda: containers[COMPONENT].requests == 0)


def test_an_error_before_a_stream_is_no_stream(cloud: LocalCloudClient) -> None:
    with pytest.raises(ClientError) as caught:
        called(cloud, "bad")
    found = caught.value.response
    assert (found["Error"]["Code"], found["OriginalStatusCode"]) == ("ModelError", 422)
    with pytest.raises(ClientError, match="not found"):
        called(cloud, "a", component="nothing")


def test_a_stream_ends_after_the_time_that_sagemaker_has(cloud: LocalCloudClient) -> None:
    container = cloud.cloud.containers.containers[COMPONENT]
    container.stream_s, whole_s = 0.0, container.stream_s
    try:
        with events_of(cloud, "a b") as events, pytest.raises(EventStreamError) as caught:
            list(events)
    finally:
        container.stream_s = whole_s
    assert caught.value.response["Error"]["Code"] == "ModelStreamError"
    assert "time" in caught.value.response["Error"]["Message"]
