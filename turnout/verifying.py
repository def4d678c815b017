"""`turnout verify`: every sealed byte checked, and the golden rows run again."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from contracts.errors import TurnoutError
from contracts.problems import Code
from contracts.tasks import Tier

MAX_SHOWN = 3
# The folder of an edge copy, beside those of the tiers.
EDGE = "edge"


class NothingToVerify(TurnoutError):
    """No artefact is in the folder, or none of the models named."""

    code = Code.ARTEFACT_MISSING


def artefacts(out: Path, models: Sequence[str] | None) -> dict[str, Path]:
    """Return the folders of built tiers and edge copies by their names; raise NothingToVerify if there are none."""
    found = {
        f"{place.name} {tier}": place / tier
        for place in (sorted(out.iterdir()) if out.is_dir() else ())
        for tier in (*Tier, EDGE)
        # `.cache` and `.sources` are the build's own.
        if (place / tier).is_dir() and not place.name.startswith(".")
    }
    built = dict.fromkeys(folder.parent.name for folder in found.values())
    if not found:
        raise NothingToVerify(f"{out}: nothing is built; run `turnout build`")
    if unknown := [model for model in models or () if model not in built]:
        raise NothingToVerify(
            f"{out}: {', '.join(unknown)} not built; what is there is {', '.join(built)}"
        )
    return {n: f for n, f in found.items() if not models or f.parent.name in models}


def verify(out: Path, models: Sequence[str] | None, log: Console) -> dict[str, Any]:
    """Return the result of each artefact as a document; its `holds` is true if every artefact holds."""
    folders = artefacts(out, models)
    # After the cheap check above: ONNX Runtime and numpy are imported only where there is something to run.
    from build.edge.copy import replay_copy
    from build.proof.replay import replay

    with log.status("running the golden rows again") as status:
        found = []
        for name, folder in folders.items():
            status.update(f"running the golden rows of {name}")
            copied = folder.name == EDGE
            found.append(replay_copy(name, folder.parent) if copied else replay(name, folder))
    return {
        "holds": all(one.holds for one in found),
        "artefacts": [{**asdict(one), "holds": one.holds} for one in found],
    }


def show(document: dict[str, Any], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("artefact", "version", ""):
        table.add_column(name, no_wrap=True)
    for name in ("same as when built", "largest difference", "like the reference, then → now"):
        table.add_column(name)
    for one in document["artefacts"]:
        mark = "[green]holds[/]" if one["holds"] else "[bold red]differs[/]"
        if one["broken"]:
            table.add_row(one["name"], one["version"], "[bold red]broken[/]", "", "", "")
            continue
        similarity = " → ".join(
            f"{one[when]['nearness']:.2%}" for when in ("then", "now") if one[when]
        )
        rows = f"{one['same']} of {one['rows']} rows"
        difference = f"{one['apart']:.1e}" if one["ran_on"] else "run by itself"
        table.add_row(one["name"], one["version"], mark, rows, difference, similarity)
    console.print(table)
    for one in document["artefacts"]:
        _show_details(one, console)


def _show_details(one: dict[str, Any], console: Console) -> None:
    """Print where it was built and run, and the rows whose answers differ."""

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    if one["broken"]:
        say(f"\n{one['name']}: {one['broken']}")
    if not one["ran_on"]:
        return
    ran = f"{one['ran_on']}, ONNX Runtime {one['ran_with']}"
    built = f"{one['built_on']}, ONNX Runtime {one['built_with']}"
    say(f"\n{one['name']}: run on {ran}; built on {'the same' if ran == built else built}")
    for row in one["differing"][:MAX_SHOWN]:
        say(f"  request {row['request']}\n    built {row['built']}\n    now   {row['now']}")
    if len(one["differing"]) > MAX_SHOWN:
        say(f"  and {len(one['differing']) - MAX_SHOWN} more; --json shows all of them")
