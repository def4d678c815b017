"""Record a run of every mutant: `make prove` writes two results from the JUnit report, which docs/mutants.md shows.

`python -m scripts.mutants REPORT...` reads one report or several, of which the last that has a mutant counts for it.
"""

import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.record import Row, publish

Properties = dict[str, str]
SETTINGS, CODE = "mutants_of_settings", "mutants_of_code"
NOTHING = "nothing"


def outcomes(reports: Iterable[Path]) -> dict[str, Properties]:
    """Return the properties of the test of each mutant, by the mutant's name."""
    found = {}
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            named = {p.attrib["name"]: p.attrib["value"] for p in case.iter("property")}
            # What a test has not expected is looked into, not recorded.
            if "mutant" in named and case.find("failure") is None:
                found[named["mutant"]] = named
    return found


def of_settings(mutants: Mapping[str, Properties]) -> list[Row]:
    """Return a row for the mutants of each file that one error stops; their names are the keys that are not seen."""
    grouped = defaultdict(list)
    for name, properties in mutants.items():
        if "file" in properties:
            stopped = properties["stopped_by"] or NOTHING
            grouped[properties["file"], stopped].append(
                name.removeprefix(f"{properties['file']}: ")
            )
    return [
        {
            "file": file,
            "stopped by": stopped,
            "mutants": len(keys),
            "keys that are not seen": ", ".join(f"`{key}`" for key in keys),
        }
        for (file, stopped), keys in grouped.items()
    ]


def of_code(mutants: Mapping[str, Properties]) -> list[Row]:
    """Return a row for each mutant of code."""
    return [
        {
            "fault": name,
            "in": f"`{properties['edited']}`",
            "shown by": properties["shown_by"],
            "stopped by": properties["stopped_by"] or NOTHING,
        }
        for name, properties in mutants.items()
        if "edited" in properties
    ]


def main() -> None:
    """Write both results, with machine, date and commit."""
    found = outcomes(map(Path, sys.argv[1:]))
    for name, rows in ((SETTINGS, of_settings(found)), (CODE, of_code(found))):
        publish(name, rows, command="scripts.mutants")


if __name__ == "__main__":
    main()
