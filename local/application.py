"""moto's WSGI application behind the data planes that it lacks, and behind the check of permissions."""

import json
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from local.chaos.answers import with_faults
from local.chaos.running import Chaos
from local.chaos.script import Fault
from local.chaos.services import Called
from local.containers import NO_CAPACITY, Fleet
from local.control import components
from local.control.custom import ANSWERS
from local.control.data_plane import data_plane
from local.control.lambdas import EVENT
from local.functions.pool import too_large
from local.permissions.access import Access
from local.permissions.errors import AccessDenied, NotEvaluated
from local.permissions.operations import COMPONENT, Request, signed_by
from local.streams import endpoints, functions
from local.wsgi import Reply, Wsgi, answered, body_of, error, until_end

DENIED = "AccessDeniedException"


def application_of(containers: Fleet, access: Access, chaos: Chaos) -> Wsgi:
    """Return the application of one cloud's control plane and runtimes."""
    services = with_faults(chaos, _services(containers, chaos))

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        # Functions in images have the address. moto takes a bucket from the path for the name alone.
        environ["HTTP_HOST"] = environ.get("HTTP_HOST", "").replace("127.0.0.1:", "localhost:")
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path.startswith(ANSWERS) and method == "PUT":
            data_plane().answers[path.removeprefix(ANSWERS)] = json.loads(body_of(environ))
            return answered(start, Reply(status=200, headers={}, body=b""))
        # When a stack fails, the CDK's command line looks for refused calls in a trail, which nobody keeps here.
        if environ.get("HTTP_X_AMZ_TARGET", "").endswith(".LookupEvents"):
            return answered(start, Reply(status=200, headers={}, body=b'{"Events": []}'))
        if refused := _refusal(environ, access):
            return answered(start, refused)
        return services(environ, start)

    return application


def _services(containers: Fleet, chaos: Chaos) -> Wsgi:
    """Return the services: moto's, and the runtimes in place of its own."""
    from moto.server import DomainDispatcherApplication, create_backend_app

    moto: Wsgi = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        # moto answers every InvokeEndpoint with one canned body, even for an endpoint that does not exist.
        if path.startswith("/endpoints/") and path.endswith(("/invocations", endpoints.STREAMED)):
            streamed = path.endswith(endpoints.STREAMED)
            reply = _invoke(containers, chaos, environ, streamed)
            return endpoints.events(start, reply) if reply.parts else answered(start, reply)
        if functions.PATH.fullmatch(path):
            return functions.stream(environ, start)
        if "/functions/" in path and path.endswith("/invocations"):
            body = body_of(environ)
            is_event = environ.get("HTTP_X_AMZ_INVOCATION_TYPE") == EVENT
            if problem := too_large(body, is_event):
                headers = {"x-amzn-ErrorType": "RequestTooLargeException"}
                return answered(start, Reply(status=413, headers=headers, body=problem))
        return moto(environ, start)

    return application


def _invoke(containers: Fleet, chaos: Chaos, environ: dict[str, Any], streamed: bool) -> Reply:
    """Return the response of `InvokeEndpoint`; a component without a copy in service refuses."""
    component, body = environ.get(COMPONENT, ""), body_of(environ)
    if not components.admits(component):
        chaos.strike(Called(service="sagemaker", name=component), Fault.ASLEEP)
        return error(400, "ValidationError", NO_CAPACITY)
    since, began = data_plane().clock(), time.monotonic()

    def served() -> None:
        components.served(component, since, time.monotonic() - began)

    kind = environ.get("CONTENT_TYPE") or "application/octet-stream"
    with ExitStack() as undo:
        undo.callback(served)
        reply = containers.invoke(component, body, kind, streamed=streamed)
        if reply.parts is None:
            return reply
        return replace(reply, parts=until_end(reply.parts, undo.pop_all()))


def _refusal(environ: dict[str, Any], access: Access) -> Reply | None:
    """Return the response to a request that its caller may not make; None if it may, or if nobody signed it."""
    signed = signed_by(environ)
    if signed is None:
        return None
    request = Request(
        method=environ["REQUEST_METHOD"],
        path=environ["PATH_INFO"],
        query=environ.get("QUERY_STRING", ""),
        headers=environ,
        body=body_of(environ) if _is_named_inside(environ) else b"",
        region=signed.region,
        account=access.account,
    )
    try:
        access.check_request(request, signed)
    except (AccessDenied, NotEvaluated) as denied:
        access.report(str(denied))
        return error(403, DENIED, str(denied))
    return None


def _is_named_inside(environ: dict[str, Any]) -> bool:
    """Return true if a body has the operation or its members; the archives that are uploaded do not."""
    form = str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded")
    return form or "HTTP_X_AMZ_TARGET" in environ
