"""Images as folders, containers as processes, and children that never outlive their parent."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from local.chaos.script import Fault, Scripted
from local.chaos.services import Called
from local.cloud import Cloud
from local.containers import Fleet
from local.errors import LocalError
from local.images import Image, build
from tests.fixtures.local_cloud_client import LOCK
from tests.fixtures.paths import ROOT
from tests.fixtures.problems import raises
from tests.fixtures.processes import ended
from tests.local.chaos.watched import calm

# A container by SageMaker's contract, with a way to make it misbehave.
SERVER = """
import os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
started = time.time()
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        ready = time.time() - started > 0.3 and os.environ.get("NEVER") != "1"
        self.answer(200 if ready else 503, b"")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"die": os._exit(9)
        if body == b"bad": return self.answer(422, b'{"type": "urn:turnout:problem:invalid-input"}')
        self.answer(200, body.upper() + os.environ.get("WORD", "").encode())
    def answer(self, status, body):
        self.send_response(status); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
if os.environ.get("BROKEN") == "1": sys.exit("cannot start")
assert sys.argv[1:] == ["serve"], sys.argv
HTTPServer((os.environ["TURNOUT_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""

DOCKERFILE = """# a comment
FROM public.ecr.aws/docker/library/python:3.13-slim
ENV WORD=!
WORKDIR /opt/app
COPY requirements.txt ./
RUN pip install --no-deps \\
    -r requirements.txt
COPY server.py data/ ./
ENTRYPOINT ["python", "server.py"]
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "data").mkdir(parents=True)
    (folder / "data/more.txt").write_text("more", "utf-8")
    (folder / "server.py").write_text(SERVER, "utf-8")
    (folder / "requirements.txt").write_text(LOCK.read_text("utf-8"), "utf-8")
    (folder / "Dockerfile").write_text(DOCKERFILE, "utf-8")
    return folder


def built(context: Path, store: Path) -> Image:
    image = build(context, context / "Dockerfile", store / "tag", "linux/amd64")
    image.save(store, "tag")
    return image


def test_an_image_is_what_its_dockerfile_copies_and_sets(context: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    image = built(context, store)
    assert Image.load(store, "tag") == image
    assert (image.workdir, image.entrypoint, image.environment) == (
        "/opt/app",
        ("python", "server.py"),
        {"WORD": "!"},
    )
    assert image.platform == "linux/amd64"
    assert (image.folder / "server.py").read_text("utf-8") == SERVER


@pytest.mark.parametrize(
    ("line", "things"),
    [
        ("VOLUME /x", ("Dockerfile", "VOLUME")),
        ("CMD python server.py", ("CMD python server.py", "exec form")),
    ],
)
def test_an_instruction_that_cannot_be_followed_is_refused(
    context: Path, tmp_path: Path, line: str, things: tuple[str, ...]
) -> None:
    (context / "Dockerfile").write_text(f"FROM x\n{line}\n", "utf-8")
    with raises("local_cloud_failed", *things):
        build(context, context / "Dockerfile", tmp_path / "root", "")


def test_an_image_that_was_never_built_is_named(tmp_path: Path) -> None:
    with raises("local_cloud_failed", "no image abcdef "):
        Image.load(tmp_path, "abcdef")


@pytest.fixture
def fleet(context: Path, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(
        tmp_path / "state", ROOT / ".turnout/venvs", chaos=calm(), report=lambda line: None
    )
    built(context, fleet.images)
    yield fleet
    fleet.close()
    assert fleet.processes() == []


def test_a_container_is_in_service_when_ping_answers_and_then_asked(fleet: Fleet) -> None:
    fleet.start("c", "repository:tag", {}, wait_s=20)
    reply = fleet.invoke("c", b"hello", "text/plain")
    assert (reply.status, reply.body) == (200, b"HELLO!")
    assert fleet.invoke("other", b"x", "text/plain").status == 400


def test_a_container_that_is_not_ready_yet_is_not_asked(fleet: Fleet) -> None:
    def start() -> None:
        with suppress(LocalError):
            fleet.start("c", "repository:tag", {"NEVER": "1"}, wait_s=1)

    starting = threading.Thread(target=start)
    starting.start()
    while not fleet.processes():
        time.sleep(0.01)
    reply = fleet.invoke("c", b"hello", "text/plain")
    assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (400, "ValidationError")
    assert "no capacity" in json.loads(reply.body)["message"]
    starting.join()


def test_a_containers_own_error_is_wrapped_as_sagemaker_does(fleet: Fleet) -> None:
    fleet.start("c", "repository:tag", {}, wait_s=20)
    reply = fleet.invoke("c", b"bad", "text/plain")
    body = json.loads(reply.body)
    assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (424, "ModelError")
    assert (body["OriginalStatusCode"], json.loads(body["OriginalMessage"])) == (
        422,
        {"type": "urn:turnout:problem:invalid-input"},
    )


def test_a_container_that_dies_is_said_and_started_again(fleet: Fleet) -> None:
    fleet.start("c", "repository:tag", {}, wait_s=20)
    assert json.loads(fleet.invoke("c", b"die", "text/plain").body)["OriginalStatusCode"] == 500
    while fleet.processes():
        time.sleep(0.01)
    assert fleet.invoke("c", b"x", "text/plain").status == 503
    deadline = time.monotonic() + 20
    while (found := fleet.invoke("c", b"x", "text/plain").status) != 200:
        assert (found in (424, 503), time.monotonic() < deadline) == (True, True)
        time.sleep(0.05)


def fault(kind: Fault) -> Scripted:
    return Scripted(target="m/gpu", kind=kind, of=Called(service="sagemaker", name="c"))


def test_a_fault_kills_a_container_with_its_request_and_the_next_starts_it_again(
    fleet: Fleet,
) -> None:
    fleet.start("c", "repository:tag", {}, wait_s=20)
    fleet.chaos.begin((fault(Fault.CRASH),))
    assert json.loads(fleet.invoke("c", b"x", "text/plain").body)["OriginalStatusCode"] == 500
    assert fleet.processes() == []
    assert fleet.invoke("c", b"x", "text/plain").status == 503
    assert len(fleet.processes()) == 1


def test_a_container_that_hangs_runs_out_of_sagemakers_time(fleet: Fleet) -> None:
    fleet.start("c", "repository:tag", {}, wait_s=20)
    fleet.chaos.begin((fault(Fault.HANG),))
    # A minute of silence ends with the fault.
    threading.Timer(0.2, fleet.chaos.stop).start()
    body = json.loads(fleet.invoke("c", b"x", "text/plain").body)
    assert (body["OriginalStatusCode"], body["__type"]) == (504, "ModelError")
    assert fleet.invoke("c", b"hello", "text/plain").body == b"HELLO!"


def test_a_container_serves_until_the_one_that_takes_its_place_is_ready(fleet: Fleet) -> None:
    fleet.start("c", "repository:tag", {"WORD": "1"}, wait_s=20)
    update = threading.Thread(target=fleet.start, args=("c", "repository:tag", {"WORD": "2"}, 20))
    update.start()
    answers = []
    while update.is_alive():
        answers.append(fleet.invoke("c", b"a", "text/plain"))
    answers.append(fleet.invoke("c", b"a", "text/plain"))
    assert {reply.status for reply in answers} == {200}
    bodies = [reply.body for reply in answers]
    # First one alone and then the other.
    assert sorted(bodies) == bodies
    assert set(bodies) == {b"A1", b"A2"}
    assert len(fleet.processes()) == 1


def test_a_container_serves_on_if_the_one_that_takes_its_place_fails(fleet: Fleet) -> None:
    fleet.start("c", "repository:tag", {"WORD": "1"}, wait_s=20)
    with raises("local_cloud_failed", "container of c ended"):
        fleet.start("c", "repository:tag", {"BROKEN": "1"}, 20)
    assert fleet.invoke("c", b"a", "text/plain").body == b"A1"
    assert len(fleet.processes()) == 1


def test_a_body_over_six_megabytes_is_refused(fleet: Fleet) -> None:
    reply = fleet.invoke("c", b"x" * (6 * 2**20 + 1), "text/plain")
    assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (413, "ValidationError")


@pytest.mark.parametrize(
    ("environment", "wait_s", "things"),
    [
        ({"BROKEN": "1"}, 20, ("container of c ended", "\ncannot start")),
        ({"NEVER": "1"}, 1, ("container of c ", "ready")),
    ],
    ids=["ends", "never ready"],
)
def test_a_container_that_does_not_come_up_fails_with_its_log(
    fleet: Fleet, environment: dict[str, str], wait_s: int, things: tuple[str, ...]
) -> None:
    with raises("local_cloud_failed", *things):
        fleet.start("c", "repository:tag", environment, wait_s)


def test_children_end_with_their_parent_even_when_it_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from local import children\n"
        "c = children.start([sys.executable, '-c', 'import time; time.sleep(60)'], environment={}, "
        "folder=Path('/'), output=open('/dev/null', 'wb'))\n"
        "print(c.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not ended({child}, wait_s=0)
        parent.send_signal(signal.SIGKILL)
    assert ended({child})


def test_two_clouds_cannot_share_a_folder_and_the_second_says_whose_it_is(tmp_path: Path) -> None:
    with Cloud(tmp_path / "cloud") as first:
        with raises("local_cloud_failed", f"process {os.getpid()};"):
            Cloud(tmp_path / "cloud").start()
        assert first.url.startswith("https://localhost:")
    with Cloud(tmp_path / "cloud"):
        pass


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with Cloud(tmp_path / "one") as cloud:
        taken = int(cloud.url.rpartition(":")[2])
        with raises("local_cloud_failed", f"port {taken} ", "Address already in use"):
            Cloud(tmp_path / "two", https_port=taken).start()


def test_everything_listens_on_loopback_alone(tmp_path: Path) -> None:
    with Cloud(tmp_path / "cloud") as cloud:
        ports = {int(address.rpartition(":")[2]) for address in (cloud.url, cloud.endpoint_url)}
        listening = [
            line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]
        ]
        found = {
            (int(words[1].split(":")[1], 16), words[1].split(":")[0])
            for words in listening
            if words[3] == "0A"
        }
        assert {host for port, host in found if port in ports} == {"0100007F"}
        assert {port for port, _ in found} >= ports
