"""`turnout image --push` says what was sent and where it is, to people, to logs and to programs."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from rich.console import Console
from typer.testing import CliRunner

from images.errors import ImageError, PushError
from images.layer import Entry, write_layer
from images.oci.layout import write_layout
from images.registry.connection import Credentials
from images.registry.push import Destination
from tests.images.layouts import BASE, CODE, SETTINGS
from tests.images.registry.uploads import SECRET, USER, UploadRegistry, upload_registry
from turnout.cli import app
from turnout.image.ecr import ecr_credentials
from turnout.image.pushing import credentials_of, push, show

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UploadRegistry]:
    """A registry that takes the password of Docker's config.json."""
    with upload_registry() as running:
        running.auth = "basic"
        login = {"auths": {running.host: {"username": USER, "password": SECRET}}}
        (tmp_path / "config.json").write_text(json.dumps(login), "utf-8")
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        yield running


@pytest.fixture
def made(tmp_path: Path) -> list[dict[str, Any]]:
    """Two images, of which the second is the first with other code."""
    found = []
    for name, code in (("shop-router", CODE), ("shop-words-cpu", (Entry(path="a", source=b"a"),))):
        layers = [
            (kind, write_layer(of, tmp_path)) for kind, of in (("base", BASE), ("code", code))
        ]
        digest = write_layout(tmp_path / name, name, layers, SETTINGS)
        found.append({"image": name, "folder": str(tmp_path / name), "digest": digest})
    return found


def console(*, terminal: bool = False) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=200, force_terminal=terminal, highlight=False), file


def test_a_log_gets_a_line_for_each_image_and_programs_the_same_bytes(
    registry: UploadRegistry, made: list[dict[str, Any]]
) -> None:
    log, lines = console()
    to = Destination(host=registry.host, prefix="team")
    pushed = push(made, to, log)
    written = [line for line in lines.getvalue().splitlines() if "pushed" in line]
    assert [line.partition(":")[0] for line in written] == ["shop-router", "shop-words-cpu"]
    first, second = (one["pushed"] for one in pushed)
    assert first["reference"] == f"{registry.host}/team/shop-router@{made[0]['digest']}"
    assert first["tag"] == f"{registry.host}/team/shop-router:{made[0]['digest'][7:19]}"
    assert (first["there"], second["there"] > 0) == (0, True)
    assert registry.received == first["sent"] + second["sent"]
    shown = io.StringIO()
    show(pushed, Console(file=shown, width=40))
    assert shown.getvalue().splitlines() == [
        first["reference"],
        second["reference"],
        f"{registry.received} bytes were pushed",
    ]
    again = push(made, to, log)
    assert [one["pushed"]["sent"] for one in again] == [0, 0]


def test_a_terminal_gets_bars_with_what_was_sent_and_what_was_there(
    registry: UploadRegistry, made: list[dict[str, Any]]
) -> None:
    log, shown = console(terminal=True)
    push(made, Destination(host=registry.host), log)
    assert "shop-words-cpu" in shown.getvalue()
    assert "MB sent" in shown.getvalue()
    assert "MB there already" in shown.getvalue()


def test_a_tampered_blob_ends_the_push_before_the_registry_is_asked(
    registry: UploadRegistry, made: list[dict[str, Any]]
) -> None:
    blob = max(Path(made[1]["folder"], "blobs/sha256").iterdir())
    blob.write_bytes(blob.read_bytes() + b"x")
    with pytest.raises(ImageError, match=blob.name):
        push(made, Destination(host=registry.host), console()[0])
    assert registry.requests == []


def test_ecr_gets_the_password_of_aws() -> None:
    with mock_aws():
        token = boto3.client("ecr", region_name="eu-west-1").get_authorization_token()
        assert token["authorizationData"][0]["proxyEndpoint"].endswith("eu-west-1.amazonaws.com")
        found = credentials_of(Destination(host=ECR))
    assert found is not None
    assert found.user == "AWS"
    assert found.secret
    assert ecr_credentials("ecr.example") is None
    assert ecr_credentials(f"{ECR}.example") is None


def test_without_credentials_of_aws_the_message_says_how_to_check_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(PushError, match="aws sts get-caller-identity"):
        ecr_credentials(ECR)


def test_the_password_of_docker_is_that_of_other_registries(registry: UploadRegistry) -> None:
    found = credentials_of(Destination(host=registry.host))
    assert found == Credentials(user=USER, secret=SECRET)


def test_a_destination_that_is_none_is_a_wrong_argument() -> None:
    done = CliRunner().invoke(app, ["image", "--push", "Shop"])
    assert done.exit_code == 2
    assert "REGISTRY/PREFIX" in done.output
