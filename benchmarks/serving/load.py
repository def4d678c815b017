"""Throughput and latency of the GPU's container on a processor, beside the bare model on the same core.

The model has one core; everything else has the other: the container's server, the checks, the tokenizer, and the
callers, a process of their own. In each round the bare model runs alone, then the container under a closed loop,
then under open loops at shares of the bare model's last rate; their order rotates. All texts have 128 tokens.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from benchmarks.inference.rounds import rotated
from benchmarks.record import ROOT, Row, publish, spread
from benchmarks.serving.asking import example_texts

FOLDER = ROOT / "models.out/support-intent/gpu"
TOKENS = 128
CALLERS = 4
SHARES = (0.3, 0.6)
SECONDS = 10.0
START_S = 120.0


@dataclass(slots=True, kw_only=True)
class Measured:
    """The readings of all rounds: texts a second by the wall, and by the time of the model's thread on its core."""

    bare: list[float] = field(default_factory=list)
    bare_cpu: list[float] = field(default_factory=list)
    closed: list[float] = field(default_factory=list)
    closed_cpu: list[float] = field(default_factory=list)
    ms: dict[str, list[float]] = field(default_factory=dict)


def text_of(tokens: int) -> str:
    """Return words of the example's texts that have so many tokens, with those that every text has."""
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    words: list[str] = []
    for word in " ".join(example_texts()).split():
        if len(tokenizer.encode(" ".join([*words, word])).ids) <= tokens:
            words.append(word)
        if len(tokenizer.encode(" ".join(words)).ids) == tokens:
            return " ".join(words)
    raise SystemExit(f"no words of the example have {tokens} tokens")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def running(module: str, *words: object, piped: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Run a module of this package until the block ends."""
    pipe = subprocess.PIPE if piped else None
    command = [sys.executable, "-m", f"benchmarks.serving.{module}", *map(str, words)]
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def wait_for(port: int, process: subprocess.Popen[str]) -> None:
    """Return when the container answers its ping; raise SystemExit if it ends or takes too long."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise SystemExit("the container does not start")


def model_thread(process: subprocess.Popen[str], core: int) -> Path:
    """Return the figures of the thread that has the model's core."""
    tasks = Path(f"/proc/{process.pid}/task")
    for task in tasks.iterdir():
        if os.sched_getaffinity(int(task.name)) == {core}:
            return task / "stat"
    raise SystemExit("no thread of the container has the model's core")


def cpu_seconds(stat: Path) -> float:
    """Return the processor's seconds of a thread; https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html."""
    fields = stat.read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Load:
    """The container, the bare model and what was measured of both."""

    def __init__(self, stack: ExitStack, body: Path, cores: Sequence[int]) -> None:
        self.body, self.port = body, free_port()
        model, self.other = cores
        self.bare = stack.enter_context(running("bare", FOLDER, body, model, piped=True))
        container = stack.enter_context(running("container", FOLDER, self.port, model, self.other))
        wait_for(self.port, container)
        self.thread = model_thread(container, model)
        self.found = Measured()
        self.rate = 0.0

    def run_bare(self, number: int) -> None:
        assert self.bare.stdin
        assert self.bare.stdout
        self.bare.stdin.write(f"{SECONDS}\n")
        self.bare.stdin.flush()
        ran = json.loads(self.bare.stdout.readline())
        if ran["tokens"] != TOKENS:
            raise SystemExit(f"the text has {ran['tokens']} tokens")
        self.rate = ran["runs"] / ran["seconds"]
        self.found.bare.append(self.rate)
        self.found.bare_cpu.append(ran["runs"] / ran["cpu_seconds"])

    def run_closed(self, number: int) -> None:
        used = cpu_seconds(self.thread)
        seen = self._call("--callers", CALLERS)
        self.found.closed.append(len(seen["ms"]) / seen["seconds"])
        self.found.closed_cpu.append(len(seen["ms"]) / (cpu_seconds(self.thread) - used))
        self._keep(f"closed loop of {CALLERS} callers", seen)

    def run_open(self, number: int) -> None:
        for share in SHARES:
            seen = self._call("--rate", self.rate * share, "--seed", number)
            self._keep(f"open loop at {share:.0%} of the bare model's rate", seen)

    def _call(self, *words: object) -> dict[str, Any]:
        """Return what callers have seen, who are in a process of their own on the other core."""
        module = [sys.executable, "-m", "benchmarks.serving.client"]
        command = [*module, self.port, self.body, "--seconds", SECONDS, *words]
        done = subprocess.run(
            ["taskset", "--cpu-list", str(self.other), *map(str, command)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        seen: dict[str, Any] = json.loads(done.stdout)
        if seen["failed"]:
            raise SystemExit(f"{seen['failed']} of {len(seen['ms'])} requests failed")
        return seen

    def _keep(self, what: str, seen: dict[str, Any]) -> None:
        self.found.ms.setdefault(what, []).extend(seen["ms"])


def main(args: argparse.Namespace) -> None:
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit("two cores are needed: one for the model, one for everything else")
    with ExitStack() as stack:
        body = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "body.json"
        body.write_text(json.dumps({"inputs": [text_of(TOKENS)]}), "utf-8")
        load = Load(stack, body, cores)
        steps = {"bare": load.run_bare, "closed": load.run_closed, "open": load.run_open}
        # Rates are shares of what the bare model has shown.
        load.run_bare(0)
        for number in range(args.rounds):
            for name in rotated([*steps], number):
                steps[name](number)
            print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
    _publish(load.found, args.rounds)


def _publish(found: Measured, rounds: int) -> None:
    wall = statistics.median(found.closed) / statistics.median(found.bare)
    own = statistics.median(found.closed_cpu) / statistics.median(found.bare_cpu)
    rows: list[Row] = [
        {"what": f"latency in ms, {what}", **spread(ms)} for what, ms in found.ms.items()
    ]
    publish(
        "serving_latency", rows, command="benchmarks.serving load", rounds=rounds, tokens=TOKENS
    )
    rates: list[Row] = [
        {
            "what": "bare model",
            "texts a second": round(statistics.median(found.bare), 1),
            "share": 1.0,
        },
        {
            "what": f"container, closed loop of {CALLERS} callers",
            "texts a second": round(statistics.median(found.closed), 1),
            "share": round(wall, 3),
        },
        {
            "what": "bare model, a second of its core",
            "texts a second": round(statistics.median(found.bare_cpu), 1),
            "share": 1.0,
        },
        {
            "what": "container, a second of its model's thread",
            "texts a second": round(statistics.median(found.closed_cpu), 1),
            "share": round(own, 3),
        },
    ]
    publish(
        "serving_throughput", rates, command="benchmarks.serving load", rounds=rounds, tokens=TOKENS
    )
