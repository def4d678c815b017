"""Tables in README and docs, made from `results/*.json`; a test checks that they are current.

`python -m benchmarks.tables` rewrites what stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, ROOT

MARK = re.compile(r"(<!-- table: ([a-z_0-9]+) -->\n).*?(<!-- end -->)", re.DOTALL)
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
    source = (
        f"{where['cpu']}{instructions}, {where['cores']} cores, {result['date']}, commit {result['commit']}; "
        f"`python -m {result.get('command', 'benchmarks.' + result['name'])}`"
    )
    return "\n".join([*lines, "", source, ""])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def filled(text: str) -> str:
    """Return the document with every table regenerated; raises FileNotFoundError for a table without a result."""

    def fill(match: re.Match[str]) -> str:
        result = json.loads((RESULTS / f"{match[2]}.json").read_text("utf-8"))
        return f"{match[1]}{table(result)}{match[3]}"

    return MARK.sub(fill, text)


def write(path: Path) -> None:
    path.write_text(filled(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    for document in DOCUMENTS:
        write(document)
