"""An endpoint of the API: Starlette routes its requests, and FastAPI describes it where the OpenAPI document is wanted.

An endpoint takes the request alone, which FastAPI would pass on as it is: to import it takes half of a start, and
nothing of it is in the way of a request.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from fastapi import FastAPI


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint: its method and path, what its page says of it, and what answers its requests."""

    method: str
    path: str
    tag: str
    summary: str
    run: Callable[[Request], Awaitable[Response]]

    @property
    def route(self) -> Route:
        return Route(self.path, self.run, methods=[self.method])


def described(endpoints: Iterable[Endpoint]) -> "FastAPI":
    """Return the API in FastAPI, whose endpoints have the names of their methods as ids."""
    from fastapi import FastAPI

    api = FastAPI(title="Turnout", version="1")
    for one in endpoints:
        api.add_api_route(
            one.path,
            one.run,
            methods=[one.method],
            tags=[one.tag],
            summary=one.summary,
            operation_id=one.run.__name__,
        )
    return api
