"""The servers that are measured, each in a process of its own that is asked one request at a time."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.record import ROOT
from functions.router.targets.vllm_stream import Text, documents
from local.children import free_port
from local.vllm.process import LLAMA_CPP, server_of

# Threads that spin while they wait would count as work where processor time is taken.
QUIET = {**os.environ, "OMP_WAIT_POLICY": "passive", "ORT_DISABLE_TELEMETRY": "1"}
CONTEXT = 2048


class Server(Protocol):
    """Something that writes; `pid` is the process that computes."""

    @property
    def pid(self) -> int: ...

    def write(self, messages: list[dict[str, str]], tokens: int) -> Iterator[int]:
        """Yield once at the first piece of text, and last the number of tokens that were written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def write(self, messages: list[dict[str, str]], tokens: int) -> Iterator[int]:
        parameters = {"max_new_tokens": tokens, "do_sample": False}
        assert self.process.stdin
        assert self.process.stdout
        request = {"inputs": [{"messages": messages}], "parameters": parameters}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        for i, line in enumerate(self.process.stdout):
            document: dict[str, Any] = json.loads(line)
            if "answer" in document:
                yield int(document["answer"]["outputs"][0]["generated_tokens"])
                return
            if i == 0:
                yield 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaCpp:
    process: subprocess.Popen[bytes]
    port: int

    @property
    def pid(self) -> int:
        return self.process.pid

    def write(self, messages: list[dict[str, str]], tokens: int) -> Iterator[int]:
        body = {
            "messages": messages,
            "max_tokens": tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            # Every request reads all of its prompt, as a new one would.
            "cache_prompt": False,
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        with closing(connection):
            connection.request(
                "POST",
                "/v1/chat/completions",
                json.dumps(body),
                {"Content-Type": "application/json"},
            )
            text, begun = Text(), False
            for document in documents(iter(connection.getresponse().readline, b"")):
                if text.take(document) and not begun:
                    begun = True
                    yield 0
        yield int(text.output()["generated_tokens"])


@contextmanager
def ours(artefact: Path, threads: int, *more: str) -> Iterator[Ours]:
    """Start the artefact's engine, and end it; `more` are words for its process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.writing.ours", str(artefact), str(threads), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=QUIET,
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield Ours(process=process)
        assert process.stdin
        process.stdin.close()


@contextmanager
def llama_cpp(file: Path, threads: int) -> Iterator[LlamaCpp]:
    """Start llama.cpp's server on a GGUF file, and end it."""
    port = free_port()
    command = [
        *server_of(LLAMA_CPP),
        *("--model", str(file), "--port", str(port), "--threads", str(threads)),
        *("--tokens", str(CONTEXT), "--sequences", "1"),
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=QUIET
    )
    try:
        while not _is_ready(port):
            if process.poll() is not None:
                raise SystemExit(f"llama.cpp's server ended: {' '.join(command)}")
            time.sleep(0.2)
        yield LlamaCpp(process=process, port=port)
    finally:
        process.terminate()
        process.wait()


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with closing(connection):
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False


def processor_s(pid: int) -> float:
    """Return the seconds that all threads of a process have computed (proc(5), schedstat)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text("ascii").split()[0]) for task in tasks) / 1e9
