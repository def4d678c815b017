"""`python -m benchmarks.serving.container FOLDER PORT CORE OTHER`: the GPU's container on a processor, on two cores.

The thread that runs the model has one core to itself; HTTP, checks and tokenization have the other.
"""

import os
import sys
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import uvicorn

from functions.gpu.app import create_app
from functions.inference.engine import Engine


def main() -> None:
    folder, port, core, other = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    os.sched_setaffinity(0, {other})

    def load() -> Engine:
        # This is the thread that runs the model later; 0 is the calling thread.
        os.sched_setaffinity(0, {core})
        return Engine.load(folder, max_inputs=64, threads=1, device="cpu")

    app = create_app(load, "cpu", folder, timeout_s=25.0, write=lambda line: None)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
