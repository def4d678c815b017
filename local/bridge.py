"""The control plane for containers alone, at the address that this machine has in their engine's network."""

import socket
from collections.abc import Callable, Iterable
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from typing import Any

from images.engine.engine import Bridge
from local.errors import LocalError
from local.wsgi import Wsgi

# ip(7): bind to an address that no interface has yet. Podman makes its bridge with the first container.
IP_FREEBIND = 15
BACKLOG = 128


def listening(address: str) -> socket.socket:
    """Return a socket that listens on a free port of that address alone; raise LocalError if it cannot."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        found.bind((address, 0))
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        message = (
            f"the address {address} of the engine's bridge cannot be listened on: {error.strerror}"
        )
        raise LocalError(f"{message}; start without --sam") from error
    return found


def for_containers(application: Wsgi, bridge: Bridge, host: str) -> Wsgi:
    """Return the application for the addresses of the bridge's network alone, under the host that moto expects.

    A neighbour of this machine could have its packets for the bridge routed here, and moto runs what it is sent.
    """
    network = ip_network(bridge.subnet)

    def application_for_containers(
        environ: dict[str, Any], start: Callable[..., Any]
    ) -> Iterable[bytes]:
        if ip_address(environ["REMOTE_ADDR"]) not in network:
            status = HTTPStatus.FORBIDDEN
            start(f"{status.value} {status.phrase}", [("Content-Length", "0")])
            return []
        return application({**environ, "HTTP_HOST": host}, start)

    return application_for_containers
