"""Overhead of our code over a bare `session.run`: the CPU handler, and the router's own share.

Contenders are interleaved, text by text, in one process: `session.run` on prepared tokens; the CPU function's handler
on the same text; the router, from gateway event to gateway answer, over a backend that answers at once.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import ROOT, Row, publish, spread
from benchmarks.serving.asking import Instant
from benchmarks.serving.router import Call, router_call
from contracts.manifest import MODEL as MODEL_FILE
from contracts.manifest import kernels_in
from contracts.models_toml import read_models_toml

MODEL = "support-intent"


def contenders(folder: Path) -> tuple[dict[str, Call], Callable[[str], object]]:
    """Return the timed calls by name, each with the preparation of a text before the clock starts."""
    # The handler loads its model when it is imported below.
    os.environ["TURNOUT_MODEL_DIR"] = str(folder)
    from tokenizers import Tokenizer

    from functions.cpu.handler import handler
    from functions.inference.session import open_session

    session = open_session(folder / MODEL_FILE, threads=1, device="cpu", kernels=kernels_in(folder))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    names = {node.name for node in session.get_inputs()}
    feeds: dict[str, dict[str, Any]] = {}

    def prepare(text: str) -> None:
        encoding = tokenizer.encode(text)
        columns = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        feeds[text] = {n: np.array([v], np.int64) for n, v in columns.items() if n in names}

    calls: dict[str, Call] = {
        "session.run": lambda text: session.run(None, feeds[text]),
        "cpu handler": lambda text: handler({"inputs": [text], "parameters": {}}, None),
        "router": router_call(Instant()),
    }
    return calls, prepare


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often all texts are run")
    parser.add_argument(
        "--data", type=Path, help="a folder with eval.jsonl; the example's otherwise"
    )
    words = parser.parse_args()
    deployment = read_models_toml(ROOT / "models.toml")
    folder = ROOT / "models.out" / MODEL / "cpu"
    spec = next(model for model in deployment.models if model.name == MODEL)
    source = words.data / "eval.jsonl" if words.data else spec.eval
    lines = source.read_text("utf-8").split("\n")
    texts = [json.loads(line)["text"] for line in lines if line]
    calls, prepare = contenders(folder)
    samples: dict[str, list[float]] = {name: [] for name in calls}
    extra: list[float] = []
    for text in texts:
        prepare(text)
    # The first calls of each are slower, and are not counted.
    for text in texts[:50]:
        for call in calls.values():
            call(text)
    for _ in range(words.rounds):
        for text in texts:
            took = {}
            for name, call in calls.items():
                start = time.perf_counter()
                call(text)
                took[name] = (time.perf_counter() - start) * 1e3
                samples[name].append(took[name])
            # Of the same text, so that the lengths of texts add nothing to the spread.
            extra.append(took["cpu handler"] - took["session.run"])
    rows: list[Row] = [
        {"what": f"{name}, ms", **spread(values)} for name, values in samples.items()
    ]
    rows.append({"what": "handler over session.run, paired, ms", **spread(extra)})
    publish("overhead", rows, texts=len(texts), rounds=words.rounds)


if __name__ == "__main__":
    main()
