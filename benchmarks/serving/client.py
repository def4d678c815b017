"""`python -m benchmarks.serving.client PORT BODY`: the caller, a process apart from what it measures; prints JSON.

In a closed loop each of so many callers sends its next request when it has the answer to the last. In an open loop
requests are due at the times of a Poisson process, whatever becomes of those before, and their latency counts from when
they were due: a server that stalls delays none of them out of the figures.
"""

import argparse
import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

# As many may wait for answers; the next ones are late, which counts.
MOST_WAITING = 32
LONGEST_S = 60.0


@dataclass(slots=True, kw_only=True)
class Seen:
    """The milliseconds of answered requests, the number of those that were not answered with 200, and the seconds."""

    ms: list[float] = field(default_factory=list)
    failed: int = 0
    seconds: float = 0.0


def due_times(rate: float, seconds: float, seed: int) -> list[float]:
    """Return the times of a Poisson process, in seconds from its start."""
    random = Random(seed)
    gaps = iter(lambda: random.expovariate(rate), None)
    return list(itertools.takewhile(lambda at: at < seconds, itertools.accumulate(gaps)))


def sender(port: int, path: str, body: bytes) -> Callable[[], bool]:
    """Return a request over a connection of its own to this machine, which says whether the answer is 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST_S)
    headers = {"Content-Type": "application/json"}

    def send() -> bool:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200

    return send


def run(
    callers: int, due: Iterator[float], until: float, make: Callable[[], Callable[[], bool]]
) -> Seen:
    """Have callers send each request at the time when it is due; `due` and `until` count from now, in seconds."""
    seen, lock, begun = Seen(), threading.Lock(), time.perf_counter()

    def call() -> None:
        send = make()
        while True:
            with lock:
                at = next(due, None)
            now = time.perf_counter() - begun
            # In a closed loop a request is due at once.
            start = now if at == 0.0 else at
            if start is None or start >= until:
                return
            time.sleep(max(start - now, 0.0))
            answered = send()
            took = time.perf_counter() - begun - start
            with lock:
                seen.failed += not answered
                seen.ms.append(took * 1e3)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen.seconds = time.perf_counter() - begun
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("body", type=Path)
    parser.add_argument("--path", default="/invocations")
    parser.add_argument("--seconds", type=float, default=5.0)
    loop = parser.add_mutually_exclusive_group(required=True)
    loop.add_argument("--callers", type=int, help="a closed loop of so many")
    loop.add_argument("--rate", type=float, help="an open loop of so many requests a second")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    seconds, body = min(args.seconds, LONGEST_S), args.body.read_bytes()

    def make() -> Callable[[], bool]:
        return sender(args.port, args.path, body)

    if args.callers:
        seen = run(args.callers, itertools.repeat(0.0), seconds, make)
    else:
        due = due_times(args.rate, seconds, args.seed)
        seen = run(MOST_WAITING, iter(due), seconds, make)
    print(json.dumps({"ms": seen.ms, "failed": seen.failed, "seconds": seen.seconds}))


if __name__ == "__main__":
    main()
