"""A registry on loopback that takes images, as the specification says, with the faults that registries have."""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.images.registry.server import Quiet, digest_of, serving

PATH = re.compile(r"/v2/(?P<repository>.+)/(?P<kind>blobs/uploads|blobs|manifests)/(?P<name>[^/]*)")
USER, SECRET = "ci", "pass:word"


@dataclass(kw_only=True)
class UploadRegistry:
    """The blobs and manifests that a registry was sent, the requests to it, and the faults that it has."""

    host: str = ""
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    received: int = 0
    # How it authorises: not at all, by a name and a password, or by tokens for these.
    auth: str = ""
    identity_token: str = ""
    # A token is good for so many requests.
    token_uses: int = 1_000_000
    tokens: list[str] = field(default_factory=list)
    used: Counter[str] = field(default_factory=Counter)
    scopes: list[list[str]] = field(default_factory=list)
    # Each is a number of bytes of a request's body after which the connection is cut, once.
    cuts: list[int] = field(default_factory=list)
    # Answers, once each, in place of its own, by method.
    answers: dict[str, list[tuple[int, dict[str, Any]]]] = field(default_factory=dict)
    mounts: bool = True
    chunks: bool = True
    forgets: bool = False
    wrong_digest: str = ""
    smallest_chunk: int = 0
    # The server that uploads are sent on to, and what came with each request to authorise it.
    elsewhere: str = ""
    authorizations: list[str] = field(default_factory=list)

    def sent(self, method: str) -> list[str]:
        return [path for found, path in self.requests if found == method]

    def digests(self, repository: str) -> set[str]:
        return {digest for place, digest in self.blobs if place == repository}


@contextmanager
def upload_registry() -> Iterator[UploadRegistry]:
    """Yield a running registry."""
    registry = UploadRegistry()

    class Handler(Quiet):
        def answer(self) -> None:
            Exchange(registry, self).run()

        do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = answer

    with serving(Handler) as registry.host:
        yield registry


class Cut(Exception):
    """A connection that ends in the middle of a body, of which a part came."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body


class Exchange:
    """One request and its answer."""

    def __init__(self, registry: UploadRegistry, request: BaseHTTPRequestHandler) -> None:
        self.registry, self.request = registry, request
        self.method, self.url = request.command, urlsplit(request.path)
        self.query = {name: values[0] for name, values in parse_qs(self.url.query).items()}
        registry.requests.append((self.method, request.path))
        registry.authorizations.append(request.headers.get("Authorization") or "")

    def run(self) -> None:
        if self.url.path == "/token":
            self.token()
            return
        try:
            body = self.body()
        except Cut as cut:
            self.store(cut.body)
            self.request.close_connection = True
            return
        if planned := self.registry.answers.get(self.method):
            status, document = planned.pop(0)
            self.send(status, json.dumps(document).encode())
        elif not self.allowed():
            kind = {"basic": 'Basic realm="r"', "bearer": self.challenge()}[self.registry.auth]
            self.send(401, b"{}", {"WWW-Authenticate": kind})
        elif found := PATH.fullmatch(self.url.path):
            self.repository, self.name = found["repository"], found["name"]
            getattr(self, found["kind"].replace("/", "_"))(body)
        else:
            self.send(404, b"{}")

    def body(self) -> bytes:
        size = int(self.request.headers.get("Content-Length") or 0)
        cuts = self.registry.cuts
        if cuts and size > cuts[0]:
            raise Cut(self.request.rfile.read(cuts.pop(0)))
        body = self.request.rfile.read(size)
        self.registry.received += len(body)
        return body

    def store(self, body: bytes) -> None:
        """Keep the part of a body that came before the connection was cut, as registries do."""
        session = self.url.path.rpartition("/")[2]
        if session in self.registry.uploads and not self.registry.forgets:
            self.registry.uploads[session] += body
        else:
            self.registry.uploads.pop(session, None)

    def challenge(self) -> str:
        return f'Bearer realm="http://{self.registry.host}/token",service="s",scope="some"'

    def basic(self) -> str:
        return f"Basic {base64.b64encode(f'{USER}:{SECRET}'.encode()).decode()}"

    def allowed(self) -> bool:
        given = self.request.headers.get("Authorization") or ""
        if self.registry.auth == "basic":
            return given == self.basic()
        if self.registry.auth == "bearer":
            token = given.removeprefix("Bearer ")
            self.registry.used[token] += 1
            return (
                token in self.registry.tokens
                and self.registry.used[token] <= self.registry.token_uses
            )
        return True

    def token(self) -> None:
        if self.method == "POST":
            size = int(self.request.headers["Content-Length"])
            form = parse_qs(self.request.rfile.read(size).decode())
            [scopes], good = form["scope"], form["refresh_token"] == [self.registry.identity_token]
            self.registry.scopes.append(scopes.split(" "))
        else:
            self.registry.scopes.append(parse_qs(self.url.query)["scope"])
            good = self.request.headers.get("Authorization") == self.basic()
        if not good:
            self.send(401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]}')
            return
        self.registry.tokens.append(f"token-{len(self.registry.tokens)}")
        self.send(200, json.dumps({"token": self.registry.tokens[-1]}).encode())

    def blobs(self, _: bytes) -> None:
        found = self.registry.blobs.get((self.repository, self.name))
        if found is None:
            self.send(404, b"")
        else:
            self.send(200, found, {"Docker-Content-Digest": self.name})

    def blobs_uploads(self, body: bytes) -> None:
        registry = self.registry
        if self.method == "POST":
            mounted = registry.blobs.get((self.query.get("from", ""), self.query.get("mount", "")))
            if mounted is not None and registry.mounts:
                self.keep(self.query["mount"], mounted)
                return
            session = f"u{len(registry.requests)}"
            registry.uploads[session] = b""
            headers = {
                "Location": f"{registry.elsewhere}/v2/{self.repository}/blobs/uploads/{session}?state=0"
            }
            if registry.smallest_chunk:
                headers["OCI-Chunk-Min-Length"] = str(registry.smallest_chunk)
            self.send(202, b"", headers)
        elif self.name not in registry.uploads:
            self.send(404, b'{"errors": [{"code": "BLOB_UPLOAD_UNKNOWN", "message": "gone"}]}')
        elif self.method == "GET":
            self.at(204)
        elif self.method == "PATCH":
            self.patch(body)
        else:
            self.finish(body)

    def patch(self, body: bytes) -> None:
        registry = self.registry
        start, stop = map(int, self.request.headers["Content-Range"].split("-"))
        if not registry.chunks:
            self.send(405, b'{"errors": [{"code": "UNSUPPORTED", "message": "no chunks"}]}')
        elif start != len(registry.uploads[self.name]) or stop - start + 1 != len(body):
            self.at(416)
        else:
            registry.uploads[self.name] += body
            self.at(202)

    def at(self, status: int) -> None:
        """Answer how far the upload is; its place changes each time, as its state is a part of it."""
        size = len(self.registry.uploads[self.name])
        place = f"http://{self.registry.host}{self.url.path}?state={size}"
        self.send(status, b"", {"Location": place, "Range": f"0-{max(size - 1, 0)}"})

    def finish(self, body: bytes) -> None:
        data = self.registry.uploads.pop(self.name) + body
        if digest_of(data) != self.query["digest"]:
            self.send(400, b'{"errors": [{"code": "DIGEST_INVALID", "message": "other bytes"}]}')
        else:
            self.keep(self.query["digest"], data)

    def keep(self, digest: str, data: bytes) -> None:
        self.registry.blobs[self.repository, digest] = data
        self.send(201, b"", {"Docker-Content-Digest": self.registry.wrong_digest or digest})

    def manifests(self, body: bytes) -> None:
        registry, key = self.registry, (self.repository, self.name)
        if self.method == "HEAD":
            found = registry.manifests.get(key)
            headers = {} if found is None else {"Docker-Content-Digest": digest_of(found)}
            self.send(404 if found is None else 200, b"", headers)
            return
        document = json.loads(body)
        parts = [part["digest"] for part in (document["config"], *document["layers"])]
        if set(parts) - registry.digests(self.repository):
            self.send(400, b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blobs"}]}')
            return
        registry.manifests[key] = body
        self.send(201, b"", {"Docker-Content-Digest": registry.wrong_digest or digest_of(body)})

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.request.send_header(name, value)
        self.request.end_headers()
        if self.method != "HEAD":
            self.request.wfile.write(body)
