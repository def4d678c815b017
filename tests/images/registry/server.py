"""A registry on loopback that answers as public ones do: tokens for anyone, an index, redirects for blobs."""

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

OCI = "application/vnd.oci.image"
REPOSITORY = "lambda/python"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def archive(name: str, content: bytes) -> bytes:
    """Return the bytes of a tar archive with one file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@dataclass(kw_only=True)
class PublicRegistry:
    """The documents and blobs of one image, and what was asked of it. Tests change both as attackers and faults do."""

    host: str = ""
    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    tokens_sent_on: list[str] = field(default_factory=list)
    status: int = 200

    @property
    def image(self) -> str:
        return f"{self.host}/{REPOSITORY}:3.13"

    def add(self, document: dict[str, Any], *tags: str) -> str:
        body = json.dumps(document).encode()
        for name in (digest_of(body), *tags):
            self.manifests[name] = body
        return digest_of(body)

    def add_image(
        self, *archives: bytes, kind: str = "tar+gzip", config: Mapping[str, object] | None = None
    ) -> str:
        """Add an image of layers; return the digest of its manifest."""
        settings = {
            "architecture": "amd64",
            "os": "linux",
            "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(data) for data in archives]},
        }
        layers = [gzip.compress(data, mtime=0) for data in archives]
        described = []
        for media, data in (
            (f"{OCI}.config.v1+json", json.dumps(settings).encode()),
            *((f"{OCI}.layer.v1.{kind}", layer) for layer in layers),
        ):
            self.blobs[digest_of(data)] = data
            described.append({"mediaType": media, "digest": digest_of(data), "size": len(data)})
        manifest = {"schemaVersion": 2, "config": described[0], "layers": described[1:]}
        return self.add(manifest | {"mediaType": f"{OCI}.manifest.v1+json"})

    def add_index(self, **by_architecture: str) -> str:
        """Add an index of manifests under the tag, with an attestation as buildx writes it; return its digest."""
        manifests = [
            {"digest": digest, "platform": {"os": "linux", "architecture": architecture}}
            for architecture, digest in {"unknown": digest_of(b""), **by_architecture}.items()
        ]
        index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": manifests}
        return self.add(index, "3.13")


class Quiet(BaseHTTPRequestHandler):
    """A handler that prints nothing, so that the output of tests is free of requests."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""


@contextmanager
def serving(handler: type[Quiet]) -> Iterator[str]:
    """Yield the host of a server on loopback that runs until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def public_registry() -> Iterator[PublicRegistry]:
    """Yield a running registry."""
    registry = PublicRegistry()

    class Handler(Quiet):
        def do_GET(self) -> None:
            _answer(registry, self)

    with serving(Handler) as registry.host:
        yield registry


def _answer(registry: PublicRegistry, request: BaseHTTPRequestHandler) -> None:
    url = urlsplit(request.path)
    kind, _, name = url.path.removeprefix(f"/v2/{REPOSITORY}/").partition("/")
    registry.requests.append(url.path)
    if url.path == "/token":
        [scope] = parse_qs(url.query)["scope"]
        _send(request, 200, json.dumps({"token": f"for {scope}"}).encode())
    elif url.path.startswith("/store/"):
        registry.tokens_sent_on.append(request.headers.get("Authorization", ""))
        _send(request, 200, registry.blobs[url.path.removeprefix("/store/")])
    elif request.headers.get("Authorization") != f"Bearer for repository:{REPOSITORY}:pull":
        challenge = (
            f'realm="http://{registry.host}/token",service="s",scope="repository:{REPOSITORY}:pull"'
        )
        _send(request, 401, b"{}", {"WWW-Authenticate": f"Bearer {challenge}"})
    elif registry.status != 200:
        _send(request, registry.status, b"{}")
    elif kind == "manifests" and name in registry.manifests:
        _send(request, 200, registry.manifests[name])
    elif kind == "blobs" and name in registry.blobs:
        _send(request, 307, b"", {"Location": f"http://{registry.host}/store/{name}"})
    else:
        _send(request, 404, b"{}")


def _send(
    request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None
) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
