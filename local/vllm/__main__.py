"""`python -m local.vllm HOME WEIGHTS`: llama.cpp's server behind the contract of vLLM's container."""

import argparse
import os
import sys
import threading
from pathlib import Path

import uvicorn

from local import children
from local.vllm.app import Proxy, create_app
from local.vllm.gguf import ConversionFailed, generation_config, gguf_of
from local.vllm.process import server_of


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.vllm", description=__doc__)
    parser.add_argument("home", type=Path, help="the environment of llama.cpp's server")
    parser.add_argument("weights", type=Path)
    for name in ("port", "tokens", "sequences", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    args = parser.parse_args()
    behind = children.free_port()

    def run() -> None:
        """Convert the weights, run the server until it ends, and end with it: pings then find nothing."""
        try:
            file = gguf_of(args.home, args.weights)
        except ConversionFailed as error:
            sys.stderr.write(f"{error}\n")
        else:
            # On a machine with other work, threads that spin while they wait for each other take each other's time.
            environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
            command = server(args, file, behind)
            # It ends with this process, however this one ends.
            children.start(
                command, environment=environment, folder=Path.cwd(), output=sys.stderr.buffer
            ).wait()
        os._exit(1)

    threading.Thread(target=run, daemon=True, name="llama.cpp").start()
    config = generation_config(args.weights)
    uvicorn.run(
        create_app(Proxy(behind, lambda: config)),
        host="127.0.0.1",
        port=args.port,
        log_level="warning",
    )


def server(args: argparse.Namespace, file: Path, port: int) -> list[str]:
    """Return the command of llama.cpp's server."""
    return [
        *server_of(args.home),
        *("--model", str(file), "--port", str(port)),
        *("--tokens", str(args.tokens), "--sequences", str(args.sequences)),
        *("--threads", str(args.threads)),
    ]


if __name__ == "__main__":
    main()
