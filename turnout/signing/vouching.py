"""Statements about artefacts: their golden rows run again, and the outcome signed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from contracts.problems import Code, Problem
from signatures.errors import Refused, SigningFailed
from signatures.keys import private_key
from signatures.statement import write_statement
from turnout.signing.built import EDGE, artefacts
from turnout.signing.trust import outcome_of

if TYPE_CHECKING:
    from build.proof.replay import Replay

NOTHING = "nothing was vouched for"


def vouch(
    out: Path, models: Sequence[str] | None, key: Path, log: Console
) -> dict[str, dict[str, str]]:
    """Run the golden rows of artefacts and sign the outcomes; return the statements by artefact.

    Raise SigningFailed for artefacts that do not hold, before anything is signed, and for the key.
    """
    try:
        private_key(key)
    except Refused as refused:
        raise SigningFailed(NOTHING, [refused.problem.within(key)]) from refused
    # After the cheap check above, which is made before anything is run.
    from build.proof.replay import replay

    folders = {n: f for n, f in artefacts(out, models).items() if f.name != EDGE}
    with log.status("running the golden rows again"):
        ran = {name: replay(name, folder) for name, folder in folders.items()}
    problems = [
        Problem(code=Code.ARTEFACT_BROKEN, where=name, message=_reason(one))
        for name, one in ran.items()
        if not one.holds
    ]
    if problems:
        raise SigningFailed(NOTHING, problems)
    made = {}
    for name, folder in folders.items():
        statement = write_statement(folder, name, outcome_of(folder, ran[name]), key)
        made[name] = {"statement": str(statement)}
    return made


def _reason(one: "Replay") -> str:
    differs = f"{one.rows - one.same} of {one.rows} golden rows are answered otherwise than when it was built"
    return one.broken or f"{differs}; `turnout verify` shows them"


def show(made: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    for name, one in made.items():
        console.print(f"{name}: {one['statement']}", markup=False, soft_wrap=True)
