"""llama.cpp's server, run in the environment of `make llamacpp`, where nothing of ours can be imported."""

import argparse
import threading

import xllamacpp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="a GGUF file")
    for name, meaning in {
        "port": "of 127.0.0.1",
        "tokens": "that each of the texts may have",
        "sequences": "texts that are written at once",
        "threads": "that compute",
    }.items():
        parser.add_argument(f"--{name}", type=int, required=True, help=meaning)
    args = parser.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path = args.model
    params.port = args.port
    # The context is shared by those that are written at once.
    params.n_ctx, params.n_parallel = args.tokens * args.sequences, args.sequences
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = args.threads
    params.n_threads_http = args.sequences + 2
    params.offline, params.ui = True, False
    # By default the prompts of earlier texts are kept in up to 8 GB.
    params.cache_ram_mib = 0
    # It serves as long as it is referred to.
    server = xllamacpp.Server(params)
    print(f"llama.cpp serves at {server.listening_address}", flush=True)  # noqa: T201
    threading.Event().wait()


if __name__ == "__main__":
    main()
