"""A client of the endpoint for `turnout call` and the demo, with the standard library alone.

`find_endpoint` in `calling.py` decides which endpoint that is.
"""

import json
import os
import random
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPSConnection, RemoteDisconnected
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

from contracts.limits import CLIENT_TIMEOUT_S

# The folder of the local cloud under the project's, and the file in it that holds the endpoint while the cloud is up.
STATE = Path(".turnout/local")
ENDPOINT_FILE = "endpoint.json"
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint's URL and a key of it.

    A local cloud's has the authority of its certificate, and the environment by which AWS's clients reach that cloud.
    `stream_url` is where a deployment streams; empty where no model writes. For a word of it `timeout_s` are waited:
    longer than its gateway does, so that the gateway's own answer arrives before.
    """

    url: str
    key: str
    ca_file: str | None = None
    aws: Mapping[str, str] | None = None
    stream_url: str = ""
    timeout_s: float = CLIENT_TIMEOUT_S

    def save(self, path: Path) -> None:
        """Write it to a file that its owner alone may read, from the first byte on: it holds the key."""
        # An older file would keep its own permissions.
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        return cls(**json.loads(path.read_text("utf-8")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP answer; `ms` is the caller's time from sending to the last byte, in milliseconds."""

    status: int
    body: Any
    ms: float
    headers: Mapping[str, str]

    @property
    def retry_after_s(self) -> float | None:
        """Return the seconds that it asks to be waited, by its header, or by its body where that was sent before."""
        told = {name.lower(): value for name, value in self.headers.items()}.get("retry-after")
        if told is None and isinstance(self.body, dict):
            told = self.body.get("retry_after_s")
        return float(str(told)) if str(told).isdecimal() else None


def request(endpoint: Endpoint, method: str, path: str, document: object = None) -> Reply:
    """Send one request and read its answer, whatever its status; raise OSError if nothing answers."""
    body = None if document is None else json.dumps(document).encode()
    headers = {"Authorization": f"Bearer {endpoint.key}", "Content-Type": "application/json"}
    url = endpoint.url.rstrip("/") + path
    message = urllib.request.Request(url, data=body, headers=headers, method=method)
    start = time.perf_counter()
    try:
        with urllib.request.urlopen(
            message, timeout=endpoint.timeout_s, context=_tls(endpoint)
        ) as answer:
            status, raw, found = answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:  # a problem document is an answer as well
        status, raw, found = error.code, error.read(), dict(error.headers)
    return _reply(status, raw, found, start)


class Connection:
    """A connection to the endpoint that is kept between requests; one thread uses it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint, self.url = endpoint, urlsplit(endpoint.url)
        self._kept: HTTPConnection | None = None

    def request(self, method: str, path: str, document: object) -> Reply:
        """Send one request and read its answer, whatever its status; raise OSError or HTTPException.

        A connection that the other side has closed meanwhile is opened again, once.
        """
        kept = self._kept is not None
        try:
            return self._request(method, path, document)
        except (ConnectionError, RemoteDisconnected):
            self.close()
            if not kept:
                raise
            return self._request(method, path, document)
        except BaseException:
            # Half of an answer may be left in it.
            self.close()
            raise

    def _request(self, method: str, path: str, document: object) -> Reply:
        if self._kept is None:
            self._kept = self._open()
        start = time.perf_counter()
        headers = {
            "Authorization": f"Bearer {self.endpoint.key}",
            "Content-Type": "application/json",
        }
        self._kept.request(method, self.url.path.rstrip("/") + path, json.dumps(document), headers)
        answer = self._kept.getresponse()
        return _reply(answer.status, answer.read(), dict(answer.headers), start)

    def _open(self) -> HTTPConnection:
        host, port = str(self.url.hostname), self.url.port
        if tls := _tls(self.endpoint):
            return HTTPSConnection(host, port, timeout=self.endpoint.timeout_s, context=tls)
        return HTTPConnection(host, port, timeout=self.endpoint.timeout_s)

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
        self._kept = None


def backoff_s(waits: int) -> float:
    """Return the seconds to wait behind so many waits: longer each time.

    They are drawn, so that senders who were refused together do not come back together.
    """
    longest_s = min(FIRST_WAIT_S * 2.0 ** min(waits, 6), LONGEST_WAIT_S)
    return longest_s * random.uniform(0.5, 1.0)


def predict(endpoint: Endpoint, model: str, document: Mapping[str, Any]) -> Reply:
    # A slash in a name that was typed in is no part of the path.
    return request(endpoint, "POST", f"/v1/models/{quote(model, safe='')}/predict", document)


def curl(endpoint: Endpoint, model: str, text: str) -> str:
    """Return the request of one text as a line for the shell."""
    ca = f" --cacert {endpoint.ca_file}" if endpoint.ca_file else ""
    # A quote ends the shell's text, so each is put outside of it, escaped.
    body = json.dumps({"inputs": [text]}).replace("'", "'\\''")
    return (
        f"curl{ca} {endpoint.url.rstrip('/')}/v1/models/{model}/predict"
        f" -H 'Authorization: Bearer {endpoint.key}' -d '{body}'"
    )


def _tls(endpoint: Endpoint) -> ssl.SSLContext | None:
    if not endpoint.url.startswith("https:"):
        return None
    return ssl.create_default_context(cafile=endpoint.ca_file)


def _reply(status: int, raw: bytes, headers: Mapping[str, str], start: float) -> Reply:
    """Return an answer; a problem that came after minutes of silence has its status in its body alone."""
    body = _decode(raw)
    match body:
        case {"type": str(), "status": int(told), "code": str()}:
            status = told
    ms = (time.perf_counter() - start) * 1e3
    return Reply(status=status, body=body, ms=ms, headers=headers)


def _decode(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")
