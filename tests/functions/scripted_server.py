"""A server on loopback whose requests tests script."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ScriptedHandler(BaseHTTPRequestHandler):
    """A handler of requests, whose connections are kept, as AWS's are."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        return


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that has gone, or has stopped waiting."""


@contextmanager
def serving(handler: type[ScriptedHandler], ended: threading.Event) -> Iterator[str]:
    """Yield the address of a server; set `ended` at the end of the block, before the server is stopped."""
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        ended.set()
        server.shutdown()
        # Of daemons none is waited for.
        server.socket.close()
        thread.join()
