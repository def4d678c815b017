"""A server in place of llama.cpp's, which fails where it is told to: it answers in its words, told by its port.

It is started with the options of the real one, writes each request to `requests.jsonl` in the folder of the weights,
and ends at once where the file of the weights is broken.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

(Path(sys.argv[2]).parent / "pid").write_text(str(os.getpid()))
options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
file = Path(options["--model"])
if file.read_bytes() == b"broken":
    sys.exit("error: failed to load the model")
TIMINGS = {"cache_n": 0, "prompt_n": 3, "predicted_n": 2}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(200, {"status": "ok"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with (file.parent / "requests.jsonl").open("a") as log:
            log.write(json.dumps({"path": self.path, **body}) + "\n")
        if body.get("prompt") == "too long":
            error = {"code": 400, "message": "exceeds the available context size", "type": "x"}
            return self.answer(400, {"error": error})
        if not body.get("stream"):
            text = {"text": " yes", "index": 0, "finish_reason": "stop"}
            return self.answer(
                200, {"object": "text_completion", "choices": [text], "timings": TIMINGS}
            )
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for word, reason in ((" ye", None), ("s", "stop")):
            delta = {"index": 0, "delta": {"content": word}, "finish_reason": reason}
            self.event({"choices": [delta], "timings": TIMINGS})
        if body["messages"][0]["content"] == "fail":
            self.event({"error": {"code": 500, "message": "x", "type": "server_error"}})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def event(self, document: Any) -> None:
        self.wfile.write(b"data: " + json.dumps(document).encode() + b"\n\n")

    def answer(self, status: int, document: Any) -> None:
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: object) -> None:
        return


ThreadingHTTPServer(("127.0.0.1", int(options["--port"])), Handler).serve_forever()
