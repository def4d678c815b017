"""One model in every runtime that serves it on a CPU: latency, and agreement with the full model.

`setup` installs the contenders; `encoder`, `cost`, `decoder`, `throughput` and `runtimes` measure and write their
results. `prepare` does all that `encoder` and `cost` need besides quiet: environments, graphs, and answers. Each
contender has a process of its own and they are interleaved (see `benchmarks.inference.rounds`). Beside them stands the
limit: the model's multiplications at the INT8 peak of the same machine on one large product
(`benchmarks.contenders.peak`).
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contenders.environments import ENVIRONMENTS, set_up
from benchmarks.inference import cost, decoding, encoding, runtimes, throughput

MEASURE = {
    "prepare": encoding.prepare,
    "encoder": encoding.main,
    "cost": cost.main,
    "decoder": decoding.main,
    "runtimes": runtimes.main,
    "throughput": throughput.main,
}

# The paths that a measurement needs besides those of all.
NEEDS = {"decoder": ("text", "gguf"), "throughput": ("data",), "cost": ("data",)}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=__doc__)
    parser.add_argument("what", choices=("setup", *MEASURE))
    parser.add_argument("--envs", type=Path, required=True, help="the folder of environments")
    parser.add_argument("--only", nargs="+", choices=ENVIRONMENTS, help="environments to set up")
    parser.add_argument("--model", type=Path, help="a Hugging Face folder with eval.jsonl")
    parser.add_argument("--artefact", type=Path, help="the sealed folder built of it")
    parser.add_argument("--scratch", type=Path, help="where contenders' graphs are kept")
    parser.add_argument("--text", type=Path, help="prose that prompts are cut from")
    parser.add_argument("--gguf", type=Path, help="the file that llama.cpp reads")
    parser.add_argument(
        "--data", type=Path, help="the folder of public sets, for throughput and cost"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument(
        "--minutes", type=float, help="start no further round after them, for each of --threads"
    )
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--rows", type=int, help="rows whose answers are compared; all otherwise")
    args = parser.parse_args(words)
    if args.what == "setup":
        if failed := set_up(args.envs, tuple(args.only or ENVIRONMENTS), print):
            raise SystemExit(f"not installed: {', '.join(failed)}")
        return
    paths = ("model", "artefact", "scratch", *NEEDS.get(args.what, ()))
    needed = [name for name in paths if getattr(args, name) is None]
    if needed:
        parser.error(f"{args.what} needs {', '.join('--' + name for name in needed)}")
    if args.what != "prepare" and args.clock == "cpu" and args.threads != [1]:
        parser.error("--clock cpu needs --threads 1: the time of two is not the sum of theirs")
    # Whatever library asks: nothing is fetched.
    os.environ["HF_HUB_OFFLINE"] = "1"
    args.scratch.mkdir(parents=True, exist_ok=True)
    MEASURE[args.what](args)


if __name__ == "__main__":
    main()
