"""Processes that load a model: without a network, without credentials, and said where the system allows no better."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from build.workspace.checkout import ROOT
from build.workspace.isolated_process import NONE, WAYS, allows, described, isolated, way_out

CONNECT = """
import socket, sys
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5)
    print("connected")
except OSError:
    print("refused")
"""
# Every kind of socket that leaves a machine, and the look-up of a name.
SOCKETS = """
import socket
for family, kind in ((socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_INET6, socket.SOCK_STREAM)):
    try:
        s = socket.socket(family, kind)
        s.connect(("127.0.0.1" if family == socket.AF_INET else "::1", 53))
        print("connected")
    except OSError:
        print("refused")
try:
    socket.getaddrinfo("huggingface.co", 443)
    print("resolved")
except OSError:
    print("refused")
"""
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "s3cr3t",
    "AWS_PROFILE": "prod-s3cr3t",
    "HF_TOKEN": "hf_s3cr3t",
    "GITHUB_TOKEN": "s3cr3t",
    "SSH_AUTH_SOCK": "/run/s3cr3t",
    "SOME_NEW_SERVICE_KEY": "s3cr3t",
    "http_proxy": "http://user:s3cr3t@proxy",
}


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    if not allows(request.param):
        pytest.skip(f"this system does not allow {WAYS[request.param][1]}")
    return str(request.param)


def run(
    code: str, *arguments: object, way: str | None = None, secrets: bool = False, **variables: str
) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, **SECRETS} if secrets else None
    done = subprocess.run(
        isolated(command, way, **variables),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.slow
def test_it_cannot_reach_a_server_that_others_on_this_machine_reach(port: int, way: str) -> None:
    assert run(CONNECT, port, way=NONE) == "connected\n"
    assert run(CONNECT, port, way=way) == "refused\n"


def test_no_kind_of_socket_leaves_the_machine(way: str) -> None:
    assert run(SOCKETS, way=way).split() == ["refused"] * 3


@pytest.mark.slow
def test_what_it_starts_has_no_network_either(port: int, way: str) -> None:
    nested = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CONNECT!r}, sys.argv[1]])"
    )
    assert run(nested, port, way=way) == "refused\n"


def test_its_own_processes_still_talk_to_each_other(way: str) -> None:
    talk = """
import multiprocessing, socket
first, second = socket.socketpair()
first.send(b"near")
print(second.recv(4).decode(), multiprocessing.get_context("fork").Pool(1).apply(abs, (-3,)))
"""
    assert run(talk, way=way) == "near 3\n"


def test_it_gets_no_credential_whatever_its_name() -> None:
    seen = run("import os; print(dict(os.environ))", secrets=True)
    assert "s3cr3t" not in seen
    assert not SECRETS.keys() & eval(seen).keys()


def test_it_finds_no_file_of_credentials_under_its_home() -> None:
    code = """
from pathlib import Path
try:
    Path("~/.aws").expanduser().mkdir(parents=True)
except OSError:
    print(Path("~/.aws/credentials").expanduser().exists(), Path.home().exists())
"""
    assert run(code) == "False False\n"


def test_it_keeps_the_path_and_the_threads_and_gets_the_variables_it_is_given() -> None:
    code = (
        "import os; print(os.environ['PATH'], os.environ['OMP_NUM_THREADS'], os.environ['WANTED'])"
    )
    environment = {**os.environ, "PATH": "/somewhere", "OMP_NUM_THREADS": "3"}
    command = isolated([sys.executable, "-c", code], WANTED="a=b")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "/somewhere 3 a=b\n"


def test_libraries_are_told_that_there_is_no_network() -> None:
    code = """
from huggingface_hub import constants, get_token
print(constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_IMPLICIT_TOKEN, get_token())
"""
    assert run(code, secrets=True) == "True True None\n"


@pytest.mark.skipif(not allows("namespace"), reason="this system does not allow namespaces")
def test_in_its_own_namespace_it_cannot_read_the_environment_of_the_build() -> None:
    read = "import os; print(open(f'/proc/{os.getppid()}/environ').read())"
    assert "PATH" in run(read, way=NONE)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run(read, way="namespace")
    assert "PermissionError" in failed.value.stderr


def test_a_program_is_not_started_where_the_network_cannot_be_left() -> None:
    # The system refuses a user namespace to a process of several threads.
    code = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
from build.workspace.isolated_process import main
main(["namespace", "--", "echo", "started"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("this system does not allow a process without a network")


def test_a_build_leaves_the_network_in_all_of_its_threads_and_processes(port: int) -> None:
    code = f"""
import queue, subprocess, sys, threading
from build.workspace.isolated_process import leave_network
CODE = {CONNECT!r}
waiting = queue.Queue()
def older() -> None:
    waiting.get()
    exec(CODE)
thread = threading.Thread(target=older)
thread.start()
exec(CODE)
print(leave_network())
exec(CODE)
waiting.put(None)
thread.join()
subprocess.run([sys.executable, "-c", CODE, sys.argv[1]])
"""
    done = subprocess.run(
        [sys.executable, "-u", "-c", code, str(port)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    left = "True" if allows("filter") else "False"
    after = "refused" if allows("filter") else "connected"
    assert done.stdout.split() == ["connected", left, after, after, after]


@pytest.mark.skipif(not {"namespace", "filter"} <= set(filter(allows, WAYS)), reason="not allowed")
def test_processes_of_a_build_that_has_left_the_network_have_namespaces_of_their_own() -> None:
    code = """
import subprocess, sys
from build.workspace.isolated_process import isolated, leave_network, way_out
print(leave_network(), way_out())
print(subprocess.run(isolated(["echo", "started"]), capture_output=True, text=True).stdout)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "namespace", "started"]


def test_its_exit_status_and_its_messages_are_the_programs_own() -> None:
    done = subprocess.run(
        isolated([sys.executable, "-c", "import sys; sys.exit('the last line')"]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "the last line\n")


def test_reports_say_how_it_is_kept_from_the_network_and_where_it_is_not() -> None:
    assert way_out() == next((way for way in WAYS if allows(way)), NONE)
    assert described("namespace").startswith("without a network")
    assert described("filter").startswith("without a network")
    assert described(NONE).startswith("with a network")
