"""Requests to one repository of a registry, authorised as it asks: by a bearer token, or by a name and password.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md and, for tokens,
https://distribution.github.io/distribution/spec/auth/token/.
"""

import base64
import io
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

PARAMETER = re.compile(r'(\w+)="([^"]*)"')
# Registries need not take manifests above 4 MiB, says the specification.
MAX_DOCUMENT = 4 << 20
TIMEOUT_S = 30
# A registry that has been sent 2 GB reads all of it again before it answers.
SENT_TIMEOUT_S = 300
# Asked for a body each time that a request is sent: a stream that was read can be sent once.
Body = Callable[[], bytes | Iterable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A name and a secret, or a token that stands for both at the registry's service of tokens."""

    user: str = ""
    secret: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        pair = f"{self.user}:{self.secret}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"


class _SameMethod(HTTPRedirectHandler):
    """Redirects that stay HEAD: an address that was signed for HEAD refuses GET."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and req.get_method() == "HEAD":
            request.method = "HEAD"
        return request


_opener = build_opener(_SameMethod)


def _open(request: Request, timeout: float) -> Any:
    """Return the answer to a request; raise HTTPError with the error's body read, so that its connection is closed."""
    try:
        return _opener.open(request, timeout=timeout)
    except HTTPError as error:
        with error:
            body = io.BytesIO(error.read(MAX_DOCUMENT))
            raise HTTPError(
                request.full_url, error.code, error.reason, error.headers, body
            ) from None


def is_loopback(host: str) -> bool:
    """Return True for a name or an address of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_trusted(url: str) -> bool:
    """Return True for an address that secrets can be sent to: by https, or on this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def read_document(body: bytes) -> dict[str, Any]:
    """Return a JSON object; raise ValueError for anything else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError("no JSON") from error
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    return document


class Connection:
    """Requests to a repository; what authorises them is kept from one to the next, and is asked for anew once it ends.

    Every method raises HTTPError for an answer that is an error, and OSError or HTTPException without an answer.
    """

    def __init__(
        self,
        host: str,
        repository: str,
        *,
        scopes: Sequence[str] = (),
        credentials: Credentials | None = None,
    ) -> None:
        """Name the scopes to ask tokens for, where those that the registry names for a request are too few."""
        self.host, self.repository = host, repository
        # As in Docker, a registry on this machine has no certificate.
        scheme = "http" if is_loopback(urlsplit(f"//{host}").hostname or "") else "https"
        self._origin = f"{scheme}://{host}"
        self._scopes, self._credentials = tuple(scopes), credentials
        self._authorization = ""

    def url(self, path: str) -> str:
        return f"{self._origin}/v2/{self.repository}/{path}"

    def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Any:
        """Return the answer to a request, whose body the caller reads and closes."""
        try:
            return self._request(method, url, headers or {}, body)
        except HTTPError as error:
            if error.code != 401 or not self._is_own(url):
                raise
            authorization = self._authorize(error.headers)
            if not authorization or authorization == self._authorization:
                raise
            self._authorization = authorization
        return self._request(method, url, headers or {}, body)

    def _is_own(self, url: str) -> bool:
        return url.startswith(f"{self._origin}/")

    def _request(self, method: str, url: str, headers: Mapping[str, str], body: Body | None) -> Any:
        data = None if body is None else body()
        request = Request(url, method=method, headers=dict(headers), data=data)
        if self._authorization and self._is_own(url):
            # Not sent on to the store of blobs that a registry redirects to, which would refuse it.
            request.add_unredirected_header("Authorization", self._authorization)
        return _open(request, timeout=TIMEOUT_S if body is None else SENT_TIMEOUT_S)

    def _authorize(self, headers: Message) -> str:
        """Return what answers the registry's challenge, empty if nothing does."""
        for challenge in headers.get_all("WWW-Authenticate", []):
            kind, _, parameters = challenge.partition(" ")
            if kind.lower() == "bearer":
                return f"Bearer {self._token(dict(PARAMETER.findall(parameters)))}"
            if kind.lower() == "basic" and self._credentials:
                return self._credentials.basic
        return ""

    def _token(self, challenge: Mapping[str, str]) -> str:
        """Return a token of the service that a challenge names, for anyone where there are no credentials."""
        realm = challenge.get("realm", "")
        if not is_trusted(realm):
            raise URLError("the registry hands out tokens at no https address")
        scopes = self._scopes or ((challenge["scope"],) if "scope" in challenge else ())
        asked = [("service", challenge["service"])] if "service" in challenge else []
        request = _token_request(realm, asked, scopes, self._credentials)
        with _open(request, timeout=TIMEOUT_S) as answer:
            body = answer.read(MAX_DOCUMENT)
        try:
            document = read_document(body)
        except ValueError as error:
            raise URLError(f"the service of its tokens answered {error}") from error
        return str(document.get("token") or document.get("access_token") or "")


def _token_request(
    realm: str,
    asked: Sequence[tuple[str, str]],
    scopes: Sequence[str],
    credentials: Credentials | None,
) -> Request:
    if credentials and credentials.identity_token:
        # https://distribution.github.io/distribution/spec/auth/oauth/
        form = [
            *asked,
            ("scope", " ".join(scopes)),
            ("client_id", "turnout"),
            ("grant_type", "refresh_token"),
            ("refresh_token", credentials.identity_token),
        ]
        return Request(realm, data=urlencode(form).encode())
    request = Request(f"{realm}?{urlencode([*asked, *(('scope', scope) for scope in scopes)])}")
    if credentials:
        request.add_unredirected_header("Authorization", credentials.basic)
    return request
