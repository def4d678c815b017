"""Record a run of every test: `make prove` writes benchmarks/results/prove.json from pytest's JUnit report."""

import sys
from pathlib import Path

from benchmarks.record import Row, publish
from scripts.figures import test_times


def main() -> None:
    """Write tests and seconds by group, with machine, date and commit."""
    seconds, tests = test_times(Path(sys.argv[1]))
    rows: list[Row] = [
        {"group": group, "tests": tests[group], "seconds": seconds[group]} for group in tests
    ]
    publish("prove", rows, command="scripts.prove")


if __name__ == "__main__":
    main()
