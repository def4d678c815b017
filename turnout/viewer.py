"""Graphs side by side in Netron, on one loopback port.

Netron's page is served from its library by our own handler, not by its own server. That one keeps one model for all
servers of a process; its page sends requests to two services on the Internet, and shows nothing once the library is
half a year old. The handler gives the page no version and no date, and forbids requests to any other machine.
"""

import html
import importlib.util
import mimetypes
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

from contracts.errors import TurnoutError

HOST = "127.0.0.1"
HTML = "text/html; charset=utf-8"
# A version under development, for which Netron sends no telemetry.
UNRELEASED = "0.0.0"
HEADERS = {
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' data: blob:; connect-src 'self' blob: data:",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    # With this cookie Netron does not ask for consent.
    "Set-Cookie": "consent=1; Path=/; SameSite=Strict",
}
CSS = (
    "html,body{margin:0;height:100%;font:14px system-ui,sans-serif;background:#fff;color:#222}"
    "body{display:flex;flex-direction:column}"
    "header{padding:8px 12px;border-bottom:1px solid #ccc}header b{margin-right:12px}header a{margin-right:12px}"
    "main{flex:1;display:flex;min-height:0}section{flex:1;display:flex;flex-direction:column;min-width:0}"
    "section+section{border-left:1px solid #ccc}h2{font-size:13px;font-weight:600;margin:0;padding:6px 12px}"
    "h2 span{font-weight:400;color:#666}iframe{flex:1;border:0;width:100%}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One graph: its name, and the file of each side."""

    name: str
    sides: Mapping[str, Path]


class NoNetron(TurnoutError):
    """The library that draws the graphs is not installed."""

    code = "netron_missing"


def netron_folder() -> Path:
    """Return the folder of Netron's page; raise NoNetron if it is not installed."""
    spec = importlib.util.find_spec("netron")
    if spec is None or not spec.submodule_search_locations:
        raise NoNetron(
            "graphs are shown by Netron, which is not installed; install it with `pip install 'netron>=9,<10'`, or "
            "compare them with --layers or --tensorboard"
        )
    return Path(spec.submodule_search_locations[0])


@contextmanager
def serving(title: str, graphs: Sequence[Shown], port: int) -> Iterator[str]:
    """Yield the address of the page, which is served until the block ends."""
    handler = partial(_Handler, title, tuple(graphs), netron_folder())
    with ThreadingHTTPServer((HOST, port), handler) as server:
        server.daemon_threads = True
        # Shutting down waits for the next poll, which is half a second by default.
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """`/` and `/NUMBER` are pages of two frames; `/NUMBER/SIDE/` is Netron, and `/NUMBER/SIDE/data/` its graph."""

    def __init__(
        self, title: str, graphs: tuple[Shown, ...], netron: Path, *arguments: object
    ) -> None:
        self.title, self.graphs, self.netron = title, graphs, netron
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        parts = [unquote(part) for part in self.path.split("?")[0].strip("/").split("/")]
        content = self._content(parts)
        kind, body = content or ("text/plain", b"there is nothing here")
        self.send_response(200 if content else 404)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **HEADERS}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _content(self, parts: list[str]) -> tuple[str, bytes] | None:
        """Return the type and the bytes at a path, given in its parts; None if there is nothing."""
        number, path = int(parts[0]) if parts[0].isdigit() else 0, "/".join(parts[2:])
        if number >= len(self.graphs):
            return None
        if len(parts) == 1:
            known = parts[0] in ("", str(number))
            return (HTML, page(self.title, self.graphs, number).encode()) if known else None
        graph = self.graphs[number].sides.get(parts[1])
        if graph is None:
            return None
        if path in ("", "index.html"):
            return HTML, _index((self.netron / "index.html").read_text("utf-8"), graph)
        if path == f"data/{graph.name}":
            return "application/octet-stream", graph.read_bytes()
        # Links and dots are resolved first: no file outside of the library is served.
        file = (self.netron / path).resolve()
        # Any page in the browser may send requests here: a path with .. must not lead out of the library.
        if not file.is_relative_to(self.netron.resolve()) or not file.is_file():
            return None
        return mimetypes.guess_type(file.name)[0] or "application/octet-stream", file.read_bytes()

    def log_message(self, format: str, *arguments: object) -> None:
        return


def _index(text: str, graph: Path) -> bytes:
    """Return Netron's page for one graph, without the date by which it would look for a newer version."""
    url = f"data/{quote(graph.name)}"  # Netron puts the page's own path before it
    meta = (
        f'<meta name="type" content="Python"><meta name="version" content="{UNRELEASED}">'
        f'<meta name="file" content="{url}"><meta name="name" content="{html.escape(graph.name)}">'
    )
    text = re.sub(r'<meta name="date"[^>]*>', "", text)
    return re.sub(r'<meta name="version"[^>]*>', lambda _: meta, text, count=1).encode()


def page(title: str, graphs: Sequence[Shown], number: int) -> str:
    """Return the page of one graph: a frame for each side, and links to the other graphs."""
    name = graphs[number].name
    links = "".join(
        f'<a href="/{i}">{html.escape(other.name)}</a>' for i, other in enumerate(graphs)
    )
    frames = "".join(
        f"<section><h2>{side} <span>{html.escape(path.name)}, {path.stat().st_size / 1e6:.1f} MB</span></h2>"
        f'<iframe src="/{number}/{side}/" title="{side}"></iframe></section>'
        for side, path in graphs[number].sides.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<link rel="icon" href="data:,"><style>{CSS}</style></head><body>'
        f"<header><b>{html.escape(title)}: {html.escape(name)}</b>"
        f"{links if len(graphs) > 1 else ''}</header><main>{frames}</main></body></html>\n"
    )
