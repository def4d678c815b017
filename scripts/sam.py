"""Record the comparison of SAM with the local cloud: `make test-sam` writes benchmarks/results/sam.json."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from benchmarks.record import Row, publish


def rows_of(report: Path) -> list[Row]:
    """Return a row for each command of SAM by which requests were compared, from a JUnit report."""
    found: list[Row] = []
    for case in ElementTree.parse(report).iter("testcase"):
        named = {p.attrib["name"]: p.attrib["value"] for p in case.iter("property")}
        if "sam" in named:
            counts = {name: int(named[name]) for name in ("requests", "different")}
            found.append({"command": named["sam"], **counts, "seconds": float(case.attrib["time"])})
    return found


def main() -> None:
    """Write the requests that were compared and those that differ, with machine, date and commit."""
    publish("sam", rows_of(Path(sys.argv[1])), command="scripts.sam")


if __name__ == "__main__":
    main()
