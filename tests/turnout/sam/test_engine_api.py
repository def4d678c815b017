"""SAM is given an address at which the engine answers, or the reason why it does not."""

import socket
import sys
from pathlib import Path

import pytest

from images.engine.engine import Engine
from images.engine.errors import EngineFailed
from tests.images.engine.programs import program
from turnout.sam.engine_api import answers, engine_api

# Podman's service, as far as a socket: it listens at the address that is its last argument.
SERVICE = f"""
exec {sys.executable} -c "
import socket, sys, time
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[-1].removeprefix('unix://'))
server.listen()
time.sleep(60)
" "$@"
"""


def podman(folder: Path, script: str) -> Engine:
    """Return an engine with settings of its own, for which a service of the system's is of no use."""
    return Engine(program=str(program(folder, "podman", script)), environment={"A": "b"})


def test_an_address_that_is_set_is_taken(tmp_path: Path) -> None:
    engine = podman(tmp_path, "exit 1")
    with engine_api(engine, tmp_path, {"DOCKER_HOST": "tcp://127.0.0.1:9"}) as address:
        assert address == "tcp://127.0.0.1:9"


def test_docker_has_its_daemons_socket(tmp_path: Path) -> None:
    with engine_api(Engine(program="/usr/bin/docker"), tmp_path, {}) as address:
        assert address == "unix:///var/run/docker.sock"


def test_podmans_service_runs_while_it_is_needed(tmp_path: Path) -> None:
    with engine_api(podman(tmp_path, SERVICE), tmp_path, {}) as address:
        path = Path(address.removeprefix("unix://"))
        assert answers(path)
    words = (tmp_path / "podman.log").read_text("utf-8")
    assert f"system service --time 0 {address}" in words
    assert not answers(path)
    assert not path.exists()


def test_a_service_of_the_systems_is_taken_if_it_answers(tmp_path: Path) -> None:
    path = tmp_path / "system.sock"
    script = f"case $1 in info) echo {path};; *) exit 1;; esac"
    engine = Engine(program=str(program(tmp_path, "podman", script)))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with engine_api(engine, tmp_path, {}) as address:
            assert address == f"unix://{path}"


def test_a_service_that_does_not_start_is_an_error_with_its_words(tmp_path: Path) -> None:
    engine = podman(tmp_path, "echo 'no such storage driver' >&2; exit 125")
    with (
        pytest.raises(EngineFailed, match="does not start: no such storage driver"),
        engine_api(engine, tmp_path, {}),
    ):
        pass


def test_a_path_that_no_socket_can_have_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(EngineFailed, match="too long for a socket; name another folder by --state"),
        engine_api(podman(tmp_path, SERVICE), tmp_path / ("long" * 30), {}),
    ):
        pass
