"""Sentences of README on ours beside other runtimes, made from the published results.

Figures of another run change them, and a test compares README with them.
"""

from collections.abc import Collection, Sequence
from typing import Any

from benchmarks.contenders import OURS

# The share of labels from which on a contender is compared with ours.
COUNTS = 0.995
# Figures that differ by less are level.
LEVEL = 0.02
# Columns of a result that are no workload.
ABOUT = ("what", "same label", "counts", "readings")
LIMIT = "limit: INT8 peak"


def claim(results: Sequence[dict[str, Any]]) -> str:
    """Return a list with an item for each result: where ours is the fastest, and what is faster elsewhere."""
    return "".join(f"- {_item(result)}\n" for result in results)


def _item(result: dict[str, Any]) -> str:
    threads, where = result["run"]["threads"], result["machine"]
    count = {1: "One thread", 2: "Two threads"}.get(threads, f"{threads} threads")
    instructions = where["instructions"].split(" with ", 1)[-1]
    head = f"**{count} of an {where['cpu']} with {instructions}** ({result['date']}):"
    rows = {row["what"]: row for row in result["rows"] if row["what"] != LIMIT}
    ours = rows[OURS]
    kept = f"{OURS}, as “{result['recipe']}”," if "recipe" in result else OURS
    if not counts(ours):
        return (
            f"{head} {kept} keeps {ours['same label']} of the labels, fewer than the {COUNTS:.1%} "
            "that others are held to; no comparison is claimed."
        )
    others = {name: row for name, row in rows.items() if not name.startswith(OURS)}
    compared = {name: row for name, row in others.items() if counts(row)}
    fewer = [row for row in others.values() if not counts(row)]
    return f"{head} {kept} is {_standing(ours, compared)}. {_fewer(ours, fewer)}"


def _standing(ours: dict[str, Any], others: dict[str, dict[str, Any]]) -> str:
    """Return how ours stands by its time at each length and the least of the others'."""
    ahead: dict[str, float] = {}
    elsewhere: list[str] = []
    for workload in (column for column in ours if column not in ABOUT):
        rival = min(others, key=lambda name: milliseconds(others[name][workload]))
        ratio = milliseconds(others[rival][workload]) / milliseconds(ours[workload])
        if ratio > 1 + LEVEL:
            ahead[workload] = ratio
        elif ratio >= 1 - LEVEL:
            elsewhere.append(f"{rival} is level {_at([workload])}")
        else:
            elsewhere.append(f"{rival} takes {ratio:.2f} times as long {_at([workload])}")
    compared = f"of {len(others) + 1} that keep {COUNTS:.1%} of the labels"
    if not ahead:
        return "; ".join([f"the fastest nowhere, {compared}", *elsewhere])
    where = _at(list(ahead)) if elsewhere else "at every length"
    margin = _span(ahead.values())
    fastest = f"the fastest {compared}, {where}, and the next takes {margin} times as long"
    return "; ".join([fastest, *elsewhere])


def _fewer(ours: dict[str, Any], others: Sequence[dict[str, Any]]) -> str:
    """Return the least share of ours' time that something takes which keeps too few labels."""
    ratios = {
        (milliseconds(row[workload]) / milliseconds(ours[workload]), row["what"], workload)
        for row in others
        for workload in row
        if workload not in ABOUT
    }
    least = min(ratios, default=(1.0, "", ""))
    if least[0] >= 1:
        return "Nothing that keeps fewer is faster either."
    kept = next(row["same label"] for row in others if row["what"] == least[1])
    return (
        f"What keeps fewer takes {least[0]:.2f} times as long at least "
        f"({least[1]}, {kept}, {_at([least[2]])})."
    )


def counts(row: dict[str, Any]) -> bool:
    """Tell whether a contender keeps enough labels to be compared; older results say no more than the share."""
    if "counts" in row:
        return bool(row["counts"] == "yes")
    return float(row["same label"].rstrip("%")) >= 100 * COUNTS


def milliseconds(cell: str) -> float:
    """Return the time of a cell, such as "3.11 (1.00×)"."""
    return float(cell.split()[0])


def _span(values: Collection[float]) -> str:
    least, most = f"{min(values):.2f}", f"{max(values):.2f}"
    return least if least == most else f"{least} to {most}"


def _at(workloads: Sequence[str]) -> str:
    """Return workloads in words: "at 8, 32 and 128 tokens and on SST-2 dev"."""
    lengths = [name.removesuffix(" tokens") for name in workloads if name.endswith(" tokens")]
    parts = [f"at {_listed(lengths)} tokens"] if lengths else []
    parts += [f"on {name}" for name in workloads if not name.endswith(" tokens")]
    return " and ".join(parts)


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
