"""Engines are found by what answers, and errors have their words and the next step."""

import json
from pathlib import Path
from typing import IO

import pytest

from images.engine.engine import Bridge, Engine, bridge_of, check_starts, cure, find_engine
from images.engine.errors import EngineFailed, EngineMissing
from tests.images.engine.programs import program

DEAD = "echo 'Cannot connect to the Docker daemon. Is the docker daemon running?' >&2; exit 1"


def found(folder: Path, **given: str) -> Engine:
    """Return the engine of a machine whose programs are those of the folder."""
    return find_engine(folder / "settings", {"PATH": str(folder), **given})


def test_docker_is_taken_before_podman(tmp_path: Path) -> None:
    for name in ("docker", "podman"):
        program(tmp_path, name, "exit 0")
    assert found(tmp_path).program == str(tmp_path / "docker")


def test_a_docker_without_its_daemon_gives_way_to_podman(tmp_path: Path) -> None:
    program(tmp_path, "docker", DEAD)
    program(tmp_path, "podman", "exit 0")
    engine = found(tmp_path)
    assert engine.is_podman
    assert (tmp_path / "podman.log").read_text("utf-8").split() == ["version"]


def test_the_engine_that_is_named_is_the_only_one_asked(tmp_path: Path) -> None:
    program(tmp_path, "docker", "exit 0")
    other = program(tmp_path / "other", "podman-5", "exit 0")
    assert found(tmp_path, CDK_DOCKER=str(other)).program == str(other)
    assert not (tmp_path / "docker.log").exists()
    with pytest.raises(EngineMissing, match=r"finch is not installed; install Docker, or Podman"):
        found(tmp_path, CDK_DOCKER="finch")


def test_without_an_engine_the_reason_of_each_is_named(tmp_path: Path) -> None:
    program(tmp_path, "docker", DEAD)
    with pytest.raises(EngineMissing) as error:
        found(tmp_path)
    text = str(error.value)
    assert "docker does not answer" in text
    assert "Is the docker daemon running?" in text
    assert "podman is not installed" in text
    assert error.value.code == "engine_missing"


def test_a_command_that_fails_is_reported_in_the_engines_words(tmp_path: Path) -> None:
    engine = Engine(program=str(program(tmp_path, "docker", "echo no space left >&2; exit 125")))
    with pytest.raises(EngineFailed, match="docker load: no space left"):
        engine.run("load")


def test_an_engine_that_reads_no_further_is_reported_in_its_words(tmp_path: Path) -> None:
    engine = Engine(program=str(program(tmp_path, "docker", "echo invalid tar header; exit 1")))

    def write(stream: IO[bytes]) -> None:
        for _ in range(64):
            stream.write(bytes(1 << 16))

    with pytest.raises(EngineFailed, match="docker load: invalid tar header"):
        engine.feed(write, "load")


def test_what_is_fed_arrives_whole(tmp_path: Path) -> None:
    engine = Engine(program=str(program(tmp_path, "docker", "wc -c")))
    assert engine.feed(lambda stream: (stream.write(bytes(100_000)), None)[1], "load") == "100000"


def test_variables_of_the_engine_are_set(tmp_path: Path) -> None:
    script = program(tmp_path, "podman", 'echo "$CONTAINERS_CONF"')
    engine = Engine(program=str(script), environment={"CONTAINERS_CONF": "/a/file"})
    assert engine.run("info") == "/a/file"


@pytest.mark.parametrize(
    ("said", "step"),
    [
        ("crun: setrlimit RLIMIT_NOFILE: Operation not permitted", "default_ulimits = []"),
        ("crun: cgroups in hybrid mode not supported, drop all controllers", "install runc"),
        ("netavark: No such file or directory (os error 2)", "install iptables"),
        ("cannot clone: Operation not permitted; unshare", "run it as root"),
        ("something new", "see that it starts any container"),
    ],
)
def test_a_container_that_does_not_start_has_a_next_step(said: str, step: str) -> None:
    assert step in cure(said, lambda: "default_ulimits = []")


def test_a_container_is_started_as_sam_would(tmp_path: Path) -> None:
    script = program(
        tmp_path, "podman", "echo 'cgroups in hybrid mode not supported' >&2; exit 126"
    )
    with pytest.raises(EngineFailed, match=r"(?s)starts no container.*hybrid mode.*install runc"):
        check_starts(Engine(program=str(script)), "image:sam", ("/bin/sh", "-c", "true"))
    words = (tmp_path / "podman.log").read_text("utf-8").split()
    assert words[:4] == ["run", "--rm", "--publish", "127.0.0.1::8080"]
    assert words[4:] == ["--entrypoint", "/bin/sh", "image:sam", "-c", "true"]


def podman(tmp_path: Path, rootless: str, subnets: object) -> Engine:
    network = json.dumps([{"name": "podman", "subnets": subnets}])
    script = f"case $1 in info) echo {rootless};; network) echo '{network}';; esac"
    return Engine(program=str(program(tmp_path, "podman", script)))


def test_the_bridge_of_podman_is_its_ipv4_gateway(tmp_path: Path) -> None:
    subnets = [
        {"subnet": "fd00::/64", "gateway": "fd00::1"},
        {"subnet": "10.88.0.0/16", "gateway": "10.88.0.1"},
    ]
    bridge = bridge_of(podman(tmp_path, "false", subnets))
    assert bridge == Bridge(address="10.88.0.1", subnet="10.88.0.0/16")


def test_the_bridge_of_docker_is_its_gateway(tmp_path: Path) -> None:
    ipam = {"Driver": "default", "Config": [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]}
    script = f"echo '{json.dumps([{'Name': 'bridge', 'IPAM': ipam}])}'"
    bridge = bridge_of(Engine(program=str(program(tmp_path, "docker", script))))
    assert bridge == Bridge(address="172.17.0.1", subnet="172.17.0.0/16")


def test_a_bridge_that_the_host_is_not_in_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match=r"without root.*as root, or use Docker"):
        bridge_of(podman(tmp_path, "true", []))
    with pytest.raises(EngineFailed, match="in a virtual machine here.*do it on Linux"):
        bridge_of(podman(tmp_path, "false", []), "darwin")
    with pytest.raises(EngineFailed, match="no IPv4 address"):
        bridge_of(podman(tmp_path, "false", [{"subnet": "fd00::/64", "gateway": "fd00::1"}]))
