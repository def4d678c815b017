"""`turnout verify`: every sealed byte checked, and the golden rows run again."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from contracts.tasks import Runtime
from turnout.signing.built import EDGE, artefacts
from turnout.signing.trust import keys_of, signature_of, vouched_for

MAX_SHOWN = 3


def verify(
    out: Path,
    models: Sequence[str] | None,
    log: Console,
    trust: Sequence[Path] = (),
    vouched_by: Sequence[Path] = (),
) -> dict[str, Any]:
    """Return the result of each artefact as a document; its `holds` is true if every artefact holds.

    With keys to `trust`, one of them has to have signed each; each key of `vouched_by` has to have stated of it what is
    found now. Raise SigningFailed for keys that cannot be used.
    """
    folders = artefacts(out, models)
    keys, vouchers = keys_of("--trust", trust), keys_of("--vouched-by", vouched_by)
    # After the cheap checks above: ONNX Runtime and numpy are imported only where there is something to run.
    from build.edge.copy import replay_copy
    from build.proof.replay import Replay, check_pushed, replay

    def run(name: str, folder: Path, refused: str) -> Replay:
        # Nothing that is not trusted is run.
        if refused:
            return Replay(name=name, broken=refused)
        if folder.name == EDGE:
            return replay_copy(name, folder.parent)
        return check_pushed(name, folder) or replay(name, folder)

    found = []
    with log.status("running the golden rows again") as status:
        for name, folder in folders.items():
            status.update(f"running the golden rows of {name}")
            signed = signature_of(folder, keys) if keys else None
            ran = run(name, folder, signed["problem"] if signed else "")
            asked = vouchers if ran.holds and folder.name != EDGE else ()
            vouched = [vouched_for(folder, ran, key) for key in asked]
            holds = ran.holds and not any(one["problem"] for one in vouched)
            found.append({**asdict(ran), "holds": holds, "signed": signed, "vouched": vouched})
    return {"holds": all(one["holds"] for one in found), "artefacts": found}


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
        _show_keys(one, console)


def _show_details(one: dict[str, Any], console: Console) -> None:
    """Print where it was built and run, and the rows whose answers differ."""

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    if one["broken"]:
        say(f"\n{one['name']}: {one['broken']}")
    if not one["ran_on"]:
        return
    runtime = Runtime(one["runtime"]).spelt
    ran = f"{one['ran_on']}, {runtime} {one['ran_with']}"
    built = f"{one['built_on']}, {runtime} {one['built_with']}"
    say(f"\n{one['name']}: run on {ran}; built on {'the same' if ran == built else built}")
    for row in one["differing"][:MAX_SHOWN]:
        say(f"  request {row['request']}\n    built {row['built']}\n    now   {row['now']}")
    if len(one["differing"]) > MAX_SHOWN:
        say(f"  and {len(one['differing']) - MAX_SHOWN} more; --json shows all of them")


def _show_keys(one: dict[str, Any], console: Console) -> None:
    """Print who signed an artefact and who vouches for it; a problem with the signature is among the details."""
    signed = [("signed by", one["signed"])] if one["signed"] and one["signed"]["by"] else []
    for verb, who in [*signed, *(("vouched for by", vouched) for vouched in one["vouched"])]:
        told = who["problem"] or f"{verb} {who['by']}"
        console.print(f"{one['name']}: {told}", markup=False, soft_wrap=True)
