"""moto's WSGI application behind the data planes that it lacks, and behind the check of permissions."""

import json
import time
from collections.abc import Callable, Iterable
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
from local.wsgi import Reply, Wsgi, answered, body_of, error

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
        if path.startswith("/endpoints/") and path.endswith("/invocations"):
            component = environ.get(COMPONENT, "")
            kind = environ.get("CONTENT_TYPE") or "application/octet-stream"
            return answered(start, _invoke(containers, chaos, component, body_of(environ), kind))
        if "/functions/" in path and path.endswith("/invocations"):
            body = body_of(environ)
            is_event = environ.get("HTTP_X_AMZ_INVOCATION_TYPE") == EVENT
            if problem := too_large(body, is_event):
                headers = {"x-amzn-ErrorType": "RequestTooLargeException"}
                return answered(start, Reply(status=413, headers=headers, body=problem))
        return moto(environ, start)

    return application


def _invoke(containers: Fleet, chaos: Chaos, component: str, body: bytes, kind: str) -> Reply:
    """Return the response of `InvokeEndpoint`; a component without a copy in service refuses."""
    if not components.admits(component):
        chaos.strike(Called(service="sagemaker", name=component), Fault.ASLEEP)
        return error(400, "ValidationError", NO_CAPACITY)
    since, began = data_plane().clock(), time.monotonic()
    reply = containers.invoke(component, body, kind)
    components.served(component, since, time.monotonic() - began)
    return reply


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
