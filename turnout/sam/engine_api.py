"""The socket at which SAM asks a container engine: the engine's own, or Podman's service, started here."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from images.engine.engine import Engine
from images.engine.errors import EngineFailed
from local import children

VARIABLE = "DOCKER_HOST"
UNIX = "unix://"
DOCKER_SOCKET = Path("/var/run/docker.sock")
# sockaddr_un has 108 bytes for a path and its end: unix(7).
MAX_PATH = 107
START_S = 20.0


@contextmanager
def engine_api(
    engine: Engine, folder: Path, given: Mapping[str, str] = os.environ
) -> Iterator[str]:
    """Yield the address of the engine's API, for DOCKER_HOST.

    Podman has no daemon: where its socket does not answer, its service is started, and ended behind the block. Raise
    EngineFailed if it does not answer.
    """
    if address := _address(engine, given):
        yield address
        return
    path = folder / "podman.sock"
    if len(os.fsencode(path)) > MAX_PATH:
        raise EngineFailed(f"{path} is too long for a socket; name another folder by --state")
    path.unlink(missing_ok=True)
    log = folder / "podman.log"
    with log.open("wb") as output:
        service = children.start(
            [engine.program, "system", "service", "--time", "0", f"{UNIX}{path}"],
            environment=engine.variables(),
            folder=folder,
            output=output,
        )
    try:
        deadline = time.monotonic() + START_S
        while not answers(path):
            if service.poll() is not None or time.monotonic() > deadline:
                said = log.read_text("utf-8", "replace").strip()[-2000:]
                raise EngineFailed(
                    f"podman's service does not start: {said or 'no answer'}; see {log}"
                )
            time.sleep(0.05)
        yield f"{UNIX}{path}"
    finally:
        children.end(service, grace_s=2)
        path.unlink(missing_ok=True)


def _address(engine: Engine, given: Mapping[str, str]) -> str:
    """Return the address of an API that is there already; empty if none is."""
    if given.get(VARIABLE):
        return given[VARIABLE]
    if not engine.is_podman:
        return f"{UNIX}{DOCKER_SOCKET}"
    # With settings of our own, another service of Podman would start no container.
    if engine.environment:
        return ""
    path = Path(engine.run("info", "--format", "{{.Host.RemoteSocket.Path}}").removeprefix(UNIX))
    return f"{UNIX}{path}" if answers(path) else ""


def answers(path: Path) -> bool:
    """Return True if something listens on a socket of this machine."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
