"""Write the tables of docs/real-account.md from the faults that tests put into templates.

`python -m scripts.real_account` rewrites what stands between `<!-- faults -->` and `<!-- end -->`; a test checks that
it is current.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.record import ROOT
from tests.stacks.mutants.every import MUTATIONS
from tests.stacks.mutants.mutation import Mutation

PAGE = ROOT / "docs/real-account.md"
MARK = re.compile(r"(<!-- faults -->\n).*?(<!-- end -->)", re.DOTALL)


def tables() -> str:
    """Return one table for each kind of fault."""
    return "\n".join(line for kind, faults in MUTATIONS.items() for line in _table(kind, faults))


def _table(kind: str, faults: tuple[Mutation, ...]) -> Iterator[str]:
    yield from (f"### {kind}", "", "| fault | on an account | caught by |", "|---|---|---|")
    for fault in faults:
        caught = ", ".join(f"`{code}`" for code in fault.caught_by)
        name = fault.name.replace("_", " ")
        yield f"| {name} | [{fault.account}]({fault.source}) | {caught} |"
    yield ""


def filled(text: str) -> str:
    """Return the page with its tables made again."""
    return MARK.sub(lambda match: f"{match[1]}{tables()}\n{match[2]}", text)


def write(page: Path = PAGE) -> None:
    page.write_text(filled(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    write()
