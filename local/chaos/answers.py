"""The answers to calls that meet a fault on their way to a tier, or at a service."""

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from contracts.limits import GATEWAY_TIMEOUT_S
from local.chaos.running import Chaos
from local.chaos.script import Fault
from local.chaos.services import AwsError, called
from local.wsgi import Reply, Wsgi, answered, body_of, error, model_error

# A tier that crashes, hangs or sleeps does so where it runs: `Pool`, `Fleet`, and the copies of a component.
ON_THE_WAY = (Fault.ERROR, Fault.THROTTLE, Fault.SLOW, Fault.CLOSE, Fault.CUT)


def with_faults(chaos: Chaos, application: Wsgi) -> Wsgi:
    """Return the application, of which calls that meet a fault get that instead."""

    def faulty(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        call = called(environ)
        if call is None:
            return application(environ, start)
        # A service has no process of its own that could hang.
        kinds = ON_THE_WAY if call.name else (*ON_THE_WAY, Fault.HANG)
        fault = chaos.strike(call, *kinds)
        if fault is None:
            return application(environ, start)
        body_of(environ)
        if fault.error:
            return answered(start, reply_of(fault.error))
        if fault.kind is Fault.CUT:
            return _cut(environ, application, start)
        if fault.kind is Fault.SLOW:
            time.sleep(fault.ms / 1e3)
            return application(environ, start)
        if fault.kind is Fault.HANG:
            chaos.hold(GATEWAY_TIMEOUT_S)
        _close(environ)

    return faulty


def reply_of(said: AwsError) -> Reply:
    """Return an error as its service answers it; a ModelError has the status of the container's answer."""
    if said.code == "ModelError":
        return model_error(said.status, said.message)
    return error(said.status, said.code, said.message, **said.more)


def _cut(environ: dict[str, Any], application: Wsgi, start: Callable[..., Any]) -> Iterator[bytes]:
    """Answer with the first half of the body, after headers that promise the whole."""
    whole = b"".join(application(environ, start))
    yield whole[: len(whole) // 2]
    _close(environ)


def _close(environ: dict[str, Any]) -> NoReturn:
    """Close the connection; werkzeug takes the error for a client that has gone, and says nothing."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError
