"""Tables and claims in README and docs, made from `results/*.json`; a test checks that they are current.

`python -m benchmarks.tables` rewrites what stands between a mark and `<!-- end -->`:

- `<!-- table: NAME -->` has the table of one result;
- `<!-- all: NAME -->` has those of all processors, whose results are named NAME and the processor, the newest first;
  `<!-- newest: NAME -->` the first of them, and `<!-- older: NAME -->` the others;
- `<!-- claim: NAME -->` has what these results say in sentences (`benchmarks.inference.claims`).
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.inference.claims import claim
from benchmarks.record import RESULTS, ROOT

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def table(result: dict[str, Any]) -> str:
    """Return one Markdown table, with the machine, the date and the commit under it."""
    columns = list(result["rows"][0])
    lines = [
        "| " + " | ".join(columns) + " |",
        "|"
        + "|".join("---:" if _is_number(result["rows"][0][c]) else "---" for c in columns)
        + "|",
        *("| " + " | ".join(str(row[c]) for c in columns) + " |" for row in result["rows"]),
    ]
    where = result["machine"]
    instructions = f" ({where['instructions']})" if "instructions" in where else ""
    gpu = f"{result['gpu']}, beside " if result.get("gpu") else ""
    how = f"; {result['how']}" if "how" in result else ""
    source = (
        f"{gpu}{where['cpu']}{instructions}, {where['cores']} cores, {result['date']}, commit {result['commit']}; "
        f"`python -m {result.get('command', 'benchmarks.' + result['name'])}`{how}"
    )
    return "\n".join([*lines, "", source, ""])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _one(name: str, results: Path) -> str:
    return table(json.loads((results / f"{name}.json").read_text("utf-8")))


def _tables(chosen: slice) -> Callable[[str, Path], str]:
    return lambda name, results: "\n".join(map(table, of_processors(name, results)[chosen]))


def _claim(name: str, results: Path) -> str:
    return claim(of_processors(name, results))


def of_processors(name: str, results: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the results of a benchmark on every processor, the newest first."""
    found = [json.loads(path.read_text("utf-8")) for path in sorted(results.glob(f"{name}_*.json"))]
    return sorted(found, key=lambda result: (result["date"], result.get("time", "")), reverse=True)


MADE: Mapping[str, Callable[[str, Path], str]] = {
    "table": _one,
    "all": _tables(slice(None)),
    "newest": _tables(slice(1)),
    "older": _tables(slice(1, None)),
    "claim": _claim,
}
MARK = re.compile(rf"(<!-- ({'|'.join(MADE)}): ([a-z_0-9]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str, results: Path = RESULTS) -> str:
    """Return the document with all that is made regenerated; raise FileNotFoundError for a table without a result."""
    return MARK.sub(lambda match: f"{match[1]}{MADE[match[2]](match[3], results)}{match[4]}", text)


def write(path: Path) -> None:
    path.write_text(filled(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    for document in DOCUMENTS:
        write(document)
