"""Cross-origin requests of browsers: https://fetch.spec.whatwg.org/#http-cors-protocol.

The router answers them, and the gateway, which could, has no part in it: so the local cloud runs the same code, and
problem documents can be read by the scripts that they are for.
"""

from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import Scope

ANY = "*"
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    # A wildcard would not cover Authorization.
    "Access-Control-Allow-Headers": "Authorization, Content-Encoding, Content-Type",
    # Two hours, the most that Chromium keeps.
    "Access-Control-Max-Age": "7200",
}
# Of the other headers of an answer a script sees the safelisted ones alone.
EXPOSED = "Retry-After, X-Request-Id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """The origins whose scripts may send requests and read answers; none by default, `("*",)` for any."""

    origins: tuple[str, ...] = ()

    def allowed(self, scope: Scope) -> str | None:
        """Return the value of Access-Control-Allow-Origin for a request; None if its origin is not allowed."""
        if self.origins == (ANY,):
            return ANY
        origin = Headers(scope=scope).get("origin")
        return origin if origin in self.origins else None

    def preflight(self, scope: Scope) -> Response | None:
        """Return the answer to a preflight of an allowed origin; None for any other request."""
        asked = Headers(scope=scope)
        is_preflight = "origin" in asked and "access-control-request-method" in asked
        if scope["method"] != "OPTIONS" or not is_preflight or self.allowed(scope) is None:
            return None
        return Response(status_code=204, headers=PREFLIGHT)

    def add_to(self, headers: MutableHeaders, scope: Scope) -> None:
        """Add the headers of an answer, whatever its status: a script may read what was wrong with its request."""
        if self.origins and self.origins != (ANY,):
            # A cache must not give the answer of one origin to another.
            headers.add_vary_header("Origin")
        if (origin := self.allowed(scope)) is not None:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = EXPOSED
