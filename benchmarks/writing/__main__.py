"""Time to first token and time of each further one: `python -m benchmarks.writing ARTEFACT NAME=FILE ...`.

ARTEFACT is that of a CPU tier; each FILE is a GGUF file of the same weights for llama.cpp's server. All answer the same
chats greedily, in turns, one request at a time; each figure is the median over the rounds. A text of one token gives
the time to the first, and a longer one less that the time of the others. Ours is asked through a pipe, and the server
through HTTP on loopback, as each is asked where it runs. All is processor time, of all threads together: on one thread
it is what a caller waits where nothing else runs. With `--quiet`, on a machine without other work, it is told as well
how long a caller waits.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.record import ROOT, Row, publish
from benchmarks.writing.servers import Server, llama_cpp, ours, processor_s

OURS = "Turnout"
LONGER = 65
Chat = list[dict[str, str]]


def chats() -> dict[str, Chat]:
    """Return a chat of a question, and one with a page of text in it."""
    lines = (ROOT / "build/samples/texts.jsonl").read_text("utf-8").splitlines()
    page = " ".join(json.loads(line)["text"] for line in lines)[:1000]
    return {
        "question": [{"role": "user", "content": "Write a long story about a lighthouse keeper."}],
        "page": [{"role": "user", "content": f"Write a long letter about this: {page}"}],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One text: its tokens, the processor's seconds for it, and the caller's until its first piece and its end."""

    processor_s: float
    first_s: float
    elapsed_s: float
    tokens: int


def measure(server: Server, chat: Chat, tokens: int) -> Sample:
    """Have a text written and return what it took."""
    computed, begun = processor_s(server.pid), time.perf_counter()
    first_s, written = 0.0, 0
    for found in server.write(chat, tokens):
        first_s, written = first_s or time.perf_counter() - begun, found
    return Sample(
        processor_s=processor_s(server.pid) - computed,
        first_s=first_s,
        elapsed_s=time.perf_counter() - begun,
        tokens=written,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.writing", description=__doc__)
    parser.add_argument("artefact", type=Path)
    parser.add_argument("files", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quiet", action="store_true", help="nothing else runs on this machine")
    args = parser.parse_args()
    files = dict(one.split("=", 1) for one in args.files)
    rows: list[Row] = []
    load = [round(one, 1) for one in os.getloadavg()]
    for threads in (1, 2):
        with ExitStack() as opened:
            servers: dict[str, Server] = {OURS: opened.enter_context(ours(args.artefact, threads))}
            if threads > 1:
                waits = ours(args.artefact, threads, "waits")
                servers[f"{OURS}, threads that wait"] = opened.enter_context(waits)
            for name, file in files.items():
                servers[name] = opened.enter_context(llama_cpp(Path(file), threads))
            rows += by_turns(servers, threads, args.rounds, quiet=args.quiet)
    publish(
        "writing",
        rows,
        command="benchmarks.writing",
        rounds=args.rounds,
        load_at_the_start=load,
        recipe=json.loads((args.artefact / "manifest.json").read_text("utf-8"))["recipe"],
    )


def by_turns(
    servers: dict[str, Server], threads: int, rounds: int, *, quiet: bool = False
) -> list[Row]:
    """Return a row of each server and chat, of rounds in which all take turns; the first warms them up.

    On a quiet machine it has the caller's milliseconds as well.
    """
    found: dict[tuple[str, str], list[tuple[Sample, Sample]]] = defaultdict(list)
    for place in range(rounds + 1):
        for prompt, chat in chats().items():
            for name, server in servers.items():
                one, more = measure(server, chat, 1), measure(server, chat, LONGER)
                assert more.tokens > one.tokens, f"{name} ended at once"
                if place:
                    found[name, prompt].append((one, more))
    return [
        {
            "threads": threads,
            "prompt": prompt,
            "what": name,
            **processor_ms(samples),
            **(elapsed_ms([more for _, more in samples]) if quiet else {}),
        }
        for (name, prompt), samples in sorted(found.items())
    ]


def processor_ms(samples: list[tuple[Sample, Sample]]) -> Row:
    """Return the milliseconds to the first token and of a further one, from pairs of a short and a longer text."""
    further = [
        (more.processor_s - one.processor_s) / (more.tokens - one.tokens) for one, more in samples
    ]
    return {
        "processor ms to the first token": _ms(median(one.processor_s for one, _ in samples), 0),
        "processor ms of a further one": _ms(median(further), 1),
    }


def elapsed_ms(samples: list[Sample]) -> Row:
    """Return the milliseconds that a caller waits for the first piece of a text, and for each token behind it."""
    further = [(one.elapsed_s - one.first_s) / (one.tokens - 1) for one in samples]
    return {
        "ms to the first token": _ms(median(one.first_s for one in samples), 0),
        "ms of a further one": _ms(median(further), 1),
    }


def _ms(seconds: float, digits: int) -> float:
    return round(seconds * 1e3, digits or None)


if __name__ == "__main__":
    main()
