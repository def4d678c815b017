"""A hub on loopback as the real one is: sizes and digests in its listing, files behind redirects to another host."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 1 << 20
TOKEN = "hf_token"
LISTINGS = tuple(f"/api/models/org/model/revision/{name}?" for name in ("main", COMMIT))


@dataclass(slots=True)
class Behaviour:
    """The faults of a hub, and what it was asked: host, token and first byte."""

    private: bool = False
    # Answers before the first real one, each a status with the headers that it has.
    before: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    # The bytes after which a large file's connection ends, each once.
    breaks_after: list[int] = field(default_factory=list)
    ignores_ranges: bool = False
    states_sizes: bool = True
    flips: str = ""
    asked: list[tuple[str, str, int]] = field(default_factory=list)


class Host(ThreadingHTTPServer):
    """A host of the hub, with the model's folder; `files_port` is that of the host that large files lie with."""

    def __init__(
        self, handler: type["Answer"], folder: Path, behaviour: Behaviour, files_port: int = 0
    ) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.folder, self.behaviour, self.files_port = folder, behaviour, files_port


class Answer(BaseHTTPRequestHandler):
    """One request to a host."""

    protocol_version = "HTTP/1.1"
    server: Host

    @property
    def start_at(self) -> int:
        """Return the first byte that is asked for."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        return int(found[1]) if found else 0

    def note(self, host: str) -> None:
        token = self.headers.get("Authorization") or ""
        self.server.behaviour.asked.append((host, token, self.start_at))

    def answer(self, body: bytes, start: int) -> None:
        behaviour = self.server.behaviour
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if len(body) >= LARGE and behaviour.breaks_after:
            self.wfile.write(body[start : start + behaviour.breaks_after.pop(0)])
            self.close_connection = True
            return
        self.wfile.write(body[start:])

    def body_of(self, name: str) -> bytes:
        body = (self.server.folder / name).read_bytes()
        flips = self.server.behaviour.flips == name
        return bytes([*body[:-1], body[-1] ^ 1]) if flips else body

    def log_message(self, format: str, *arguments: object) -> None:
        return


class FilesAnswer(Answer):
    """A request to the host that large files lie with; whoever has the address may read them."""

    def do_GET(self) -> None:
        self.note("files")
        if self.headers.get("Authorization"):
            self.send_error(400, "a signed address and a token")
            return
        body = self.body_of(unquote(self.path.removeprefix("/")))
        self.answer(body, 0 if self.server.behaviour.ignores_ranges else self.start_at)


class HubAnswer(Answer):
    """A request to the hub itself."""

    def do_GET(self) -> None:
        self.note("hub")
        behaviour = self.server.behaviour
        token = self.headers.get("Authorization")
        files = f"/org/model/resolve/{COMMIT}/"
        if behaviour.before:
            self.empty(*behaviour.before.pop(0))
        elif behaviour.private and token != f"Bearer {TOKEN}":
            self.send_error(401)
        elif self.path.startswith(LISTINGS):
            self.answer(json.dumps({"sha": COMMIT, "siblings": self.siblings()}).encode(), 0)
        elif self.path.startswith(files):
            self.resolve(unquote(self.path.removeprefix(files)))
        else:
            self.send_error(404)

    def resolve(self, name: str) -> None:
        if (self.server.folder / name).stat().st_size < LARGE:
            self.answer(self.body_of(name), self.start_at)
        else:
            place = f"http://127.0.0.1:{self.server.files_port}/{name}"
            self.empty(302, {"Location": place})

    def empty(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def siblings(self) -> list[dict[str, object]]:
        folder = self.server.folder
        paths = [path for path in folder.rglob("*") if path.is_file()]
        listed: list[dict[str, object]] = []
        for path in paths:
            one: dict[str, object] = {"rfilename": path.relative_to(folder).as_posix()}
            body = path.read_bytes()
            if self.server.behaviour.states_sizes:
                one["size"] = len(body)
            if len(body) >= LARGE:
                one["lfs"] = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
            listed.append(one)
        return listed


@contextmanager
def hub(folder: Path, behaviour: Behaviour) -> Iterator[dict[str, str]]:
    """Serve `org/model` of a folder; yield the environment of a client, with a token."""
    with (
        Host(FilesAnswer, folder, behaviour) as files,
        Host(HubAnswer, folder, behaviour, files.server_port) as server,
    ):
        threads = [threading.Thread(target=one.serve_forever) for one in (files, server)]
        for thread in threads:
            thread.start()
        try:
            yield {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_TOKEN": TOKEN}
        finally:
            for one in (files, server):
                one.shutdown()
            for thread in threads:
                thread.join()
