"""A container engine of this machine, by its command line: Docker, or Podman with the settings that it needs here."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from images.engine import podman_settings
from images.engine.errors import EngineFailed, EngineMissing

# Names an engine's command line, as for the CDK.
CHOICE = "CDK_DOCKER"
PROGRAMS = ("docker", "podman")
LINUX = "linux"
INSTALL = "install Docker, or Podman (apt-get install podman runc iptables)"
# Parts of what engines say when no container can start, each with the next step.
CURES = (
    ("hybrid mode", "install runc, which runs on such cgroups: apt-get install runc"),
    ("no such file or directory (os error 2)", "install iptables: apt-get install iptables"),
    ("iptables", "install iptables: apt-get install iptables"),
    ("unshare", "run it as root: this machine lets no other user start containers"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine that answers: its program, and the variables that it is started with besides the user's."""

    program: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return Path(self.program).name

    @property
    def is_podman(self) -> bool:
        return "podman" in self.name

    def variables(self) -> dict[str, str]:
        # Debian's iptables lies where only root's shells look.
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
        return {**os.environ, "PATH": path, **self.environment}

    def run(self, *words: str) -> str:
        """Return what a command prints; raise EngineFailed with what it says if it fails."""
        done = subprocess.run(
            [self.program, *words],
            env=self.variables(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise EngineFailed(f"{self.name} {words[0]}: {done.stderr.strip()[-2000:]}")
        return done.stdout.strip()

    def feed(self, write: Callable[[IO[bytes]], None], *words: str) -> str:
        """Return what a command prints to which `write` writes the input; raise EngineFailed if it fails."""
        with subprocess.Popen(
            [self.program, *words],
            env=self.variables(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert process.stdin
            assert process.stdout
            try:
                write(process.stdin)
                process.stdin.close()
            except BrokenPipeError:
                pass  # it has ended, and says why
            said = process.stdout.read().decode("utf-8", "replace").strip()
        if process.returncode:
            raise EngineFailed(f"{self.name} {words[0]}: {said[-2000:]}")
        return said


def find_engine(folder: Path, given: Mapping[str, str] = os.environ) -> Engine:
    """Return the engine that CDK_DOCKER names, else Docker or Podman, whichever answers first.

    A configuration of our own lies in the folder if Podman needs one. Raise EngineMissing with the reason of each.
    """
    chosen = given.get(CHOICE)
    reasons = []
    for name in [chosen] if chosen else PROGRAMS:
        program = shutil.which(name, path=given.get("PATH"))
        if program is None:
            reasons.append(f"{name} is not installed")
            continue
        is_podman = "podman" in Path(program).name
        # Elsewhere Podman is the client of one in a virtual machine, which has settings of its own.
        is_ours = is_podman and sys.platform == LINUX
        own = podman_settings.environment(folder, given) if is_ours else {}
        engine = Engine(program=program, environment=own)
        try:
            # Without a daemon or rights to it, `version` fails and says so; `--version` asks the client alone.
            engine.run("version")
        except (EngineFailed, OSError) as error:
            reasons.append(f"{name} does not answer ({error})")
            continue
        return engine
    raise EngineMissing(f"no container engine: {'; '.join(reasons)}; {INSTALL}")


def check_starts(engine: Engine, image: str, command: Sequence[str]) -> None:
    """Start a container of an image that publishes a port, as SAM does; raise EngineFailed with the next step."""
    program, *words = command
    start = ["run", "--rm", "--publish", "127.0.0.1::8080", "--entrypoint", program, image, *words]
    try:
        engine.run(*start)
    except EngineFailed as error:
        raise EngineFailed(
            f"{engine.name} starts no container: {error}\n{cure(str(error))}"
        ) from error


def cure(said: str, advice: Callable[[], str] = podman_settings.advice) -> str:
    """Return the next step after what an engine said when a container did not start."""
    if "setrlimit" in said:
        return advice() or "allow more open files and processes: `ulimit -n`, `ulimit -u`"
    found = [step for text, step in CURES if text in said.lower()]
    return found[0] if found else "see that it starts any container, and try again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """An engine's default network: the address that this machine has in it, and the addresses of its containers."""

    address: str
    subnet: str


def bridge_of(engine: Engine, system: str = sys.platform) -> Bridge:
    """Return the network that containers are put into by default; raise EngineFailed where the host is not in it."""
    if system != LINUX:
        raise EngineFailed(
            f"{engine.name} runs containers in a virtual machine here, in whose network this machine is not; "
            "do it on Linux"
        )
    if engine.is_podman:
        if engine.run("info", "--format", "{{.Host.Security.Rootless}}") == "true":
            raise EngineFailed(
                "podman runs without root, where containers have no network with this machine in it; "
                "run the command as root, or use Docker (CDK_DOCKER=docker)"
            )
        (network,) = json.loads(engine.run("network", "inspect", "podman"))
        pairs = [(one.get("gateway"), one.get("subnet")) for one in network.get("subnets") or ()]
    else:
        (network,) = json.loads(engine.run("network", "inspect", "bridge"))
        ipam: Mapping[str, Any] = network.get("IPAM") or {}
        pairs = [(one.get("Gateway"), one.get("Subnet")) for one in ipam.get("Config") or ()]
    # IPv4 alone: the local cloud listens on no other.
    found = [(gateway, subnet) for gateway, subnet in pairs if gateway and ":" not in gateway]
    if not found:
        raise EngineFailed(
            f"the default network of {engine.name} has no IPv4 address of this machine"
        )
    return Bridge(address=found[0][0], subnet=found[0][1])
