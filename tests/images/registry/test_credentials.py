"""Credentials are read as `docker login` and its helpers keep them; what cannot be read is said without a secret."""

import base64
import json
from pathlib import Path

import pytest

from images.errors import PushError
from images.registry.connection import Credentials
from images.registry.credentials import config_file, docker_credentials

HOST = "registry.example:5000"
FOUND = Credentials(user="me", secret="a:b")
AUTH = base64.b64encode(b"me:a:b").decode()
# A helper that knows one server and writes what it was asked for into a file beside it.
HELPER = """#!/bin/sh
read -r server
echo "$1 $server" >> "$0.asked"
case "$server" in
    registry.example:5000) echo '{"ServerURL": "x", "Username": "me", "Secret": "a:b"}' ;;
    token.example) echo '{"Username": "<token>", "Secret": "identity"}' ;;
    https://index.docker.io/v1/) echo '{"Username": "hub", "Secret": "h"}' ;;
    broken.example) echo '{"Secret": "hidden"}' ;;
    failing.example) echo 'the keychain is locked'; exit 1 ;;
    *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"""


def config(folder: Path, document: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(document), "utf-8")
    return path


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A helper `turnout-test` on the PATH."""
    program = tmp_path / "bin/docker-credential-turnout-test"
    program.parent.mkdir()
    program.write_text(HELPER, "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program


@pytest.mark.parametrize(
    ("auths", "found"),
    [
        ({HOST: {"auth": AUTH}}, FOUND),
        ({f"https://{HOST}": {"auth": AUTH}}, FOUND),
        ({f"https://{HOST}/v1/": {"auth": AUTH}}, FOUND),
        ({HOST: {"username": "me", "password": "a:b"}}, FOUND),
        (
            {HOST: {"auth": AUTH, "identitytoken": "t"}},
            Credentials(user="me", secret="a:b", identity_token="t"),
        ),
        ({HOST: {}}, None),
        ({"registry.example": {"auth": AUTH}, f"{HOST}1": {"auth": AUTH}}, None),
        ({}, None),
    ],
)
def test_credentials_of_the_file_are_those_of_the_host(
    tmp_path: Path, auths: dict[str, dict[str, str]], found: Credentials | None
) -> None:
    assert docker_credentials(HOST, config(tmp_path, {"auths": auths})) == found


def test_docker_hub_has_names_of_its_own(tmp_path: Path, helper: Path) -> None:
    stored = {"auths": {"https://index.docker.io/v1/": {"auth": AUTH}}}
    assert docker_credentials("registry-1.docker.io", config(tmp_path, stored)) == FOUND
    found = docker_credentials(
        "registry-1.docker.io", config(tmp_path, {"credsStore": "turnout-test"})
    )
    assert found == Credentials(user="hub", secret="h")


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert docker_credentials(HOST, tmp_path / "config.json") is None
    assert config_file({"DOCKER_CONFIG": str(tmp_path)}) == tmp_path / "config.json"
    assert config_file({}) == Path.home() / ".docker/config.json"


def test_a_helper_is_asked_for_its_host_or_for_all(tmp_path: Path, helper: Path) -> None:
    of_host = config(tmp_path, {"credHelpers": {HOST: "turnout-test"}, "auths": {HOST: {}}})
    assert docker_credentials(HOST, of_host) == FOUND
    assert docker_credentials("other.example", of_host) is None
    assert Path(f"{helper}.asked").read_text("utf-8") == f"get {HOST}\n"
    of_all = config(tmp_path, {"credsStore": "turnout-test"})
    assert docker_credentials(HOST, of_all) == FOUND
    assert docker_credentials("unknown.example", of_all) is None
    token = docker_credentials("token.example", of_all)
    assert token == Credentials(identity_token="identity")


@pytest.mark.parametrize(
    ("host", "document", "said"),
    [
        ("failing.example", {"credsStore": "turnout-test"}, "failed: the keychain is locked"),
        ("broken.example", {"credsStore": "turnout-test"}, "answered no Username and Secret"),
        (
            HOST,
            {"credHelpers": {HOST: "absent"}},
            "docker-credential-absent, which .* cannot be run",
        ),
        (HOST, {"auths": {HOST: {"auth": "hidden!"}}}, "is not as `docker login` writes it"),
        (HOST, {"auths": [HOST]}, "is not as `docker login` writes it"),
        (HOST, [], "is not as `docker login` writes it"),
    ],
)
def test_what_cannot_be_read_is_said_without_a_secret(
    tmp_path: Path, helper: Path, host: str, document: object, said: str
) -> None:
    with pytest.raises(PushError, match=said) as caught:
        docker_credentials(host, config(tmp_path, document))
    assert [problem.code.value for problem in caught.value.problems] == ["registry_denied"]
    assert "hidden" not in str(caught.value)
    assert "`docker login`" in str(caught.value)


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{", "utf-8")
    with pytest.raises(PushError, match=r"config\.json cannot be read"):
        docker_credentials(HOST, path)
