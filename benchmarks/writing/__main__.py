"""Time to first token and time of each further one: `python -m benchmarks.writing ARTEFACT NAME=FILE ...`.

ARTEFACT is that of a CPU tier; each FILE is a GGUF file of the same weights for llama.cpp's server. All answer the same
chats greedily, in turns, one request at a time; each figure is the median over the rounds. A text of one token gives
the time to the first, and a longer one less that the time of the others. Ours is asked through a pipe, and the server
through HTTP on loopback, as each is asked where it runs. All is processor time, of all threads together: on one thread
it is what a caller waits where nothing else runs.
"""

import argparse
import json
import os
import statistics
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

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


def measure(server: Server, chat: Chat, tokens: int) -> tuple[float, int]:
    """Return the seconds of the processor until the end of a text, and its tokens."""
    computed = processor_s(server.pid)
    *_, written = server.write(chat, tokens)
    return processor_s(server.pid) - computed, written


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.writing", description=__doc__)
    parser.add_argument("artefact", type=Path)
    parser.add_argument("files", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    files = dict(one.split("=", 1) for one in args.files)
    rows: list[Row] = []
    load = [round(one, 1) for one in os.getloadavg()]
    for threads in (1, 2):
        with ExitStack() as opened:
            servers: dict[str, Server] = {OURS: opened.enter_context(ours(args.artefact, threads))}
            for name, file in files.items():
                servers[name] = opened.enter_context(llama_cpp(Path(file), threads))
            rows += by_turns(servers, threads, args.rounds)
    publish(
        "writing",
        rows,
        command="benchmarks.writing",
        rounds=args.rounds,
        load_at_the_start=load,
        recipe=json.loads((args.artefact / "manifest.json").read_text("utf-8"))["recipe"],
    )


def by_turns(servers: dict[str, Server], threads: int, rounds: int) -> list[Row]:
    """Return a row of each server and chat, of rounds in which all take turns; the first warms them up."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for place in range(rounds + 1):
        for prompt, chat in chats().items():
            for name, server in servers.items():
                one = measure(server, chat, 1)
                more = measure(server, chat, LONGER)
                further = more[1] - one[1]
                assert further > 0, f"{name} ended at once"
                if place:
                    found[name, prompt].append((one[0], (more[0] - one[0]) / further))
    return [
        _row(threads, name, prompt, samples) for (name, prompt), samples in sorted(found.items())
    ]


def _row(threads: int, name: str, prompt: str, samples: list[tuple[float, float]]) -> Row:
    first, further = (statistics.median(column) * 1e3 for column in zip(*samples, strict=True))
    return {
        "threads": threads,
        "prompt": prompt,
        "what": name,
        "processor ms to the first token": round(first),
        "processor ms of a further one": round(further, 1),
    }


if __name__ == "__main__":
    main()
