"""`turnout verify MODEL --tier gpu`: the user's rows, answered by a deployed endpoint, and the record of it.

Weights that were pushed have been run by no machine of the user's. That they answer every row, and how often as the
rows say, is written beside the artefact; the next deployment has the mark lifted.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from build.evaluation.bootstrap import wilson
from build.evaluation.metrics import equal
from build.evaluation.rows import Row, read_rows
from build.tasks.registry import TASKS
from build.workspace.publish import write_json
from contracts.manifest import Manifest, file_sha256, verify
from contracts.problems import Code, Problem
from contracts.specs import Deployment, ModelSpec
from contracts.tasks import Tier
from stacks.weights.proved import record_path
from turnout.client import Reply
from turnout.verify.errors import VerifyFailed

# A tier that wakes says when to come back; one that takes longer than this is not waking.
PATIENCE_S = 1800.0
RETRY_S = 5.0
Ask = Callable[[dict[str, Any]], Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A model on its GPU tier, the share of its rows that has to be answered as they say, and how to wait."""

    spec: ModelSpec
    manifest: Manifest
    rows: Sequence[Row]
    at_least: float
    pause: Callable[[float], None] = time.sleep


def wanted(deployment: Deployment, name: str, out: Path, at_least: float) -> Wanted:
    """Return a model of the file with its rows; raise VerifyFailed, BrokenArtefact."""
    known = {model.name: model for model in deployment.models}
    if name not in known or known[name].gpu is None:
        message = f"there is no GPU tier of that name; models.toml has {', '.join(known)}"
        raise VerifyFailed(name, [Problem(code=Code.MODEL_UNKNOWN, message=message)])
    spec = known[name]
    rows, problems = read_rows(spec.eval, TASKS[spec.task].rows, None)
    if problems:
        raise VerifyFailed(name, problems)
    manifest = verify(out / name / Tier.GPU)
    return Wanted(spec=spec, manifest=manifest, rows=rows, at_least=at_least)


def verify_endpoint(of: Wanted, ask: Ask, out: Path, log: Console) -> dict[str, Any]:
    """Have the endpoint answer every row; return the record, which is written as well. Raise VerifyFailed."""
    answers: list[dict[str, Any] | None] = []
    refused: list[str] = []
    with log.status(f"{of.spec.name}: asking its endpoint") as status:
        for number, row in enumerate(of.rows, start=1):
            status.update(f"{of.spec.name}: row {number} of {len(of.rows)}")
            reply = _answered(of, ask, row)
            answers.append(_output(of, reply))
            if reply.status != 200:
                refused.append(f"row {number}: {reply.status} {_code(reply)}")
    record = _record(of, answers, refused)
    write_json(record_path(out, of.spec.name), record)
    return record


def _answered(of: Wanted, ask: Ask, row: Row) -> Reply:
    """Return what the endpoint answers to a row, once its tier is awake."""
    document = {**row.request.to_wire(), "tier": Tier.GPU}
    waited = 0.0
    while (reply := ask(document)).status == 503 and waited < PATIENCE_S:
        pause = float(reply.headers.get("Retry-After") or RETRY_S)
        of.pause(pause)
        waited += pause
    return reply


def _output(of: Wanted, reply: Reply) -> dict[str, Any] | None:
    """Return the output of an answer, None without one; raise VerifyFailed where another version answers."""
    if reply.status != 200:
        return None
    if reply.body["version"] != of.manifest.version:
        message = (
            f"its endpoint serves version {reply.body['version']}, and {of.manifest.version} is in the folder; deploy "
            "it by `cdk deploy --all` first"
        )
        raise VerifyFailed(of.spec.name, [Problem(code=Code.ARTEFACT_OUTDATED, message=message)])
    output: dict[str, Any] = reply.body["outputs"][0]
    return output


def _code(reply: Reply) -> str:
    return str(reply.body.get("code", "")) if isinstance(reply.body, dict) else ""


def _record(
    of: Wanted, answers: Sequence[dict[str, Any] | None], refused: Sequence[str]
) -> dict[str, Any]:
    """Return the record: every row is to be answered, and of those that say how, a share as they say."""
    compared = [
        equal(answer["generated_text"].strip(), row.answer.strip())[0]
        for row, answer in zip(of.rows, answers, strict=True)
        if row.answer is not None and answer is not None
    ]
    share = sum(compared) / len(compared) if compared else None
    interval = wilson(sum(compared), len(compared)) if compared else None
    reached = of.at_least == 0 or (share is not None and share >= of.at_least)
    return {
        "holds": not refused and bool(answers) and reached,
        "model": of.spec.name,
        "version": of.manifest.version,
        "digest": of.manifest.digest,
        "rows": len(of.rows),
        "eval": file_sha256(of.spec.eval),
        "answered": len(of.rows) - len(refused),
        "refused": list(refused),
        "compared": len(compared),
        "as_the_rows_say": share,
        "interval": interval,
        "at_least": of.at_least,
        "date": datetime.now(UTC).date().isoformat(),
    }


def show(record: dict[str, Any], console: Console) -> None:
    """Print what was found, and what it changes."""

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    say(
        f"{record['model']} {record['version']}: {record['answered']} of {record['rows']} rows answered"
    )
    for line in record["refused"]:
        say(f"  {line}")
    if record["compared"]:
        low, high = record["interval"]
        say(
            f"  {record['as_the_rows_say']:.1%} of {record['compared']} as the rows say ({low:.1%} to {high:.1%}), "
            f"at least {record['at_least']:.1%} wanted"
        )
    else:
        say("  no row says what the answer is, so that nothing was compared")
    lifted = "the next deployment has it as proved" if record["holds"] else "it stays unproved"
    say(lifted)
