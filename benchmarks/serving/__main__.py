"""`python -m benchmarks.serving decision | router | load`: serving, measured on this machine and on loopback alone."""

import argparse
from collections.abc import Sequence

from benchmarks.serving import decisions, load, router
from benchmarks.serving.asking import CLOCKS

MEASURE = {"decision": decisions.main, "router": router.main, "load": load.main}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("what", choices=MEASURE)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    args = parser.parse_args(words)
    MEASURE[args.what](args)


if __name__ == "__main__":
    main()
