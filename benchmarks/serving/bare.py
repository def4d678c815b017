"""`python -m benchmarks.serving.bare FOLDER BODY CORE`: `session.run` on the tokens of a text, on one core.

For each line of seconds on standard input it runs for so long, and prints the runs, and the seconds of the wall and of
the processor.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from contracts.manifest import MODEL, kernels_in
from functions.inference.session import open_session


def main() -> None:
    folder, body, core = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    os.sched_setaffinity(0, {core})
    session = open_session(folder / MODEL, threads=1, device="cpu", kernels=kernels_in(folder))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    (text,) = json.loads(body.read_text("utf-8"))["inputs"]
    encoding = tokenizer.encode(text)
    columns = {
        "input_ids": encoding.ids,
        "attention_mask": encoding.attention_mask,
        "token_type_ids": encoding.type_ids,
    }
    names = {node.name for node in session.get_inputs()}
    feeds: dict[str, Any] = {n: np.array([v], np.int64) for n, v in columns.items() if n in names}
    for line in sys.stdin:
        begun, used, runs = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - begun < float(line):
            session.run(None, feeds)
            runs += 1
        found = {
            "runs": runs,
            "seconds": time.perf_counter() - begun,
            "cpu_seconds": time.process_time() - used,
            "tokens": len(encoding.ids),
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
