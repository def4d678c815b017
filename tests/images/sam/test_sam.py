"""The images and the API run by SAM answer as the local cloud does: 200 requests, the three commands, one engine."""

import http.client
import io
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from rich.console import Console

from contracts.manifest import read_manifest
from contracts.models_toml import read_models_toml
from contracts.names import model_stack
from contracts.tasks import Tier
from images.base import Base
from images.engine.engine import CHOICE
from images.image import Contents, Runtime
from images.runtime import runtime_of
from images.slimming.pieces import Slimming
from local import children
from tests.fixtures.paths import ROOT
from tests.images.engine.stores import STORE, engine_named, podman_store
from tests.images.sam.requests_compared import (
    Answer,
    Asked,
    Invoked,
    asked,
    compared,
    differences,
    invoked,
    undated,
)
from turnout.client import ENDPOINT_FILE, Endpoint
from turnout.image.current import functions_of
from turnout.image.making import Wanted, image
from turnout.sam.cloud import FILE

DEPLOYMENT = read_models_toml(ROOT / "models.toml")
WAIT_S = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder that `turnout sam` wrote, the commands that it printed, and the cloud's own folder."""

    commands: tuple[str, ...]
    state: Path
    endpoint: Endpoint
    environment: Mapping[str, str]

    def shell(self, command: str) -> list[str]:
        """Return the command line that runs one of the commands, as a user would."""
        return ["sh", "-euc", f"{self.commands[0]}\nexec {command}"]


def turnout(*words: str) -> list[str]:
    return [str(Path(sys.executable).with_name("turnout")), *words]


def run(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def running(command: list[str], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    """Run a command until the block ends; it has to be ready before."""
    with log.open("wb") as output:
        process = children.start(command, environment=os.environ, folder=ROOT, output=output)
    try:
        deadline = time.monotonic() + WAIT_S
        while not ready():
            said = log.read_text("utf-8", "replace")
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        yield
    finally:
        # As Ctrl-C does it: SAM and `turnout up` both remove what they have started.
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(60)
        finally:
            children.end(process)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def store(work: Path) -> Iterator[None]:
    """Have the commands keep images apart from the machine's, in Podman, or in Docker where this is named."""
    with ExitStack() as stack:
        if engine_named(os.environ.get(CHOICE, ""), work).is_podman:
            os.environ[STORE] = stack.enter_context(podman_store(work)).environment[STORE]
        yield
        os.environ.pop(STORE, None)


@pytest.fixture(scope="module")
def images(store: None, base: Base, work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the images on the base that is made of Debian's packages, which can be had anywhere and has no shell."""
    folder, names = tmp_path_factory.mktemp("images"), functions_of(DEPLOYMENT)
    wanted = Wanted(
        deployment=DEPLOYMENT,
        out=ROOT / "models.out",
        key_hashes={"ci": "0" * 64},
        names=names,
        base=base.name,
    )

    def on_base(
        contents: Contents, name: str, work: Path, blobs: Path, slimming: Slimming
    ) -> Runtime:
        return runtime_of(contents, base, work, blobs, slimming)

    image(wanted, folder, work, Console(file=io.StringIO()), on_base)
    return folder


@pytest.fixture(scope="module")
def folder(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """Start the local cloud and write the folder, each by its command."""
    work = tmp_path_factory.mktemp("sam")
    state, target = work / "state", work / "sam.out"
    up = turnout("up", "--sam", "--state", str(state))
    places = ("--state", state, "--images", images, "--target", target)
    with running(up, work / "up.log", (state / FILE).exists):
        written = json.loads(run(turnout("sam", "--json", *map(str, places))))
        yield Folder(
            commands=tuple(written["commands"]),
            state=state,
            endpoint=Endpoint.load(state / ENDPOINT_FILE),
            environment=json.loads((state / FILE).read_text("utf-8"))["environment"],
        )


def ask(url: str, request: Asked, key: str, ca_file: str | None = None) -> Answer:
    """Send a request; return the status, the type and the compared body of its answer."""
    # As seldom as the throttle of the local cloud lets requests through.
    time.sleep(0.15 if ca_file else 0)
    parts = urlsplit(url)
    where = (str(parts.hostname), parts.port)
    connection = (
        http.client.HTTPSConnection(*where, context=ssl.create_default_context(cafile=ca_file))
        if ca_file
        else http.client.HTTPConnection(*where)
    )
    own = {"authorization": f"Bearer {key}"} if request.key else {}
    try:
        connection.request(request.method, request.path, request.body, {**request.headers, **own})
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type", ""), compared(answer.read())
    finally:
        connection.close()


def invoke(client: Any, function: str, request: Invoked) -> Answer:
    """Invoke a function; return the status, its kind of error and the compared payload."""
    reply = client.invoke(FunctionName=function, Payload=json.dumps(request.payload).encode())
    body = compared(reply["Payload"].read())
    return reply["StatusCode"], reply.get("FunctionError", ""), body


def lambda_client(folder: Folder, url: str) -> Any:
    variables = folder.environment
    return boto3.client(
        "lambda",
        endpoint_url=url,
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def record(
    request: pytest.FixtureRequest, command: str, pairs: list[tuple[object, Answer, Answer]]
) -> None:
    """Leave the counts for `scripts/sam.py`."""
    counts = {"requests": len(pairs), "different": len(differences(pairs))}
    request.node.user_properties += [("sam", command), *counts.items()]


def test_there_are_200_requests_and_errors_among_them() -> None:
    assert len(asked()) + len(invoked()) == 200


def test_a_model_is_invoked_by_the_command_that_is_printed(folder: Folder) -> None:
    (command,) = [one for one in folder.commands if one.startswith("sam local invoke")]
    *_, last = run(folder.shell(command)).strip().splitlines()
    versions = {
        model_stack(DEPLOYMENT.name, model.name, Tier.CPU): read_manifest(
            ROOT / f"models.out/{model.name}/cpu"
        ).version
        for model in DEPLOYMENT.models
    }
    assert json.loads(last) == {"version": versions[command.split()[3]]}


def test_the_api_by_sam_answers_as_the_local_cloud(
    folder: Folder, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    port = free_port()
    (command,) = [one for one in folder.commands if one == "sam local start-api"]
    endpoint = folder.endpoint
    with running(
        folder.shell(f"{command} --port {port}"), tmp_path / "api.log", lambda: listens(port)
    ):
        pairs: list[tuple[object, Answer, Answer]] = [
            (
                one,
                ask(endpoint.url, one, endpoint.key, endpoint.ca_file),
                ask(f"http://127.0.0.1:{port}", one, endpoint.key),
            )
            for one in asked()
        ]
    record(request, "start-api", pairs)
    assert {status for _, (status, *_), _ in pairs} >= {200, 400, 401, 404, 405, 413, 415, 422}
    assert "\n".join(differences(pairs)) == ""


def test_functions_by_sam_answer_as_the_local_clouds(
    folder: Folder, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    port = free_port()
    (command,) = [one for one in folder.commands if one == "sam local start-lambda"]
    cloud = lambda_client(folder, folder.environment["AWS_ENDPOINT_URL"])
    with running(
        folder.shell(f"{command} --port {port}"), tmp_path / "lambda.log", lambda: listens(port)
    ):
        sam = lambda_client(folder, f"http://127.0.0.1:{port}")
        pairs: list[tuple[object, Answer, Answer]] = []
        for one in invoked():
            name = model_stack(DEPLOYMENT.name, one.model, Tier.CPU)
            pairs.append((one, invoke(cloud, name, one), invoke(sam, name, one)))
    record(request, "start-lambda", pairs)
    outcomes = {"problem" in body for _, (_, _, body), _ in pairs if isinstance(body, dict)}
    assert outcomes == {True, False}
    assert "\n".join(differences(pairs)) == ""


# The images themselves run in other tests; this is a second local cloud, for a minute.
@pytest.mark.exhaustive(keep=0)
def test_the_local_cloud_answers_from_images_as_without_them(
    folder: Folder, images: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    state, endpoint, log = tmp_path / "state", folder.endpoint, tmp_path / "up.log"
    up = turnout("up", "--sam", "--images", "--images-from", str(images), "--state", str(state))
    with running(up, log, (state / FILE).exists):
        other = Endpoint.load(state / ENDPOINT_FILE)
        pairs: list[tuple[object, Answer, Answer]] = [
            (
                one,
                ask(endpoint.url, one, endpoint.key, endpoint.ca_file),
                ask(other.url, one, other.key, other.ca_file),
            )
            for one in asked()
        ]
        control = json.loads((state / FILE).read_text("utf-8"))["environment"]["AWS_ENDPOINT_URL"]
        plain = lambda_client(folder, folder.environment["AWS_ENDPOINT_URL"])
        isolated = lambda_client(folder, control)
        for one in invoked():
            name = model_stack(DEPLOYMENT.name, one.model, Tier.CPU)
            pairs.append((one, invoke(plain, name, one), invoke(isolated, name, one)))
    without_dates = [(one, undated(first), undated(second)) for one, first, second in pairs]
    record(request, "up --images", without_dates)
    said = log.read_text("utf-8")
    for name in functions_of(DEPLOYMENT):
        assert f"{name}, copy 1: started, INIT " in said
    assert "\n".join(differences(without_dates)) == ""


def test_the_local_cloud_is_at_no_address_besides_loopback_and_the_bridge(folder: Folder) -> None:
    facts = json.loads((folder.state / FILE).read_text("utf-8"))
    port = urlsplit(facts["bridge_url"]).port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port or 0)))
