"""`turnout verify MODEL --tier gpu`: the user's rows, answered by a deployed endpoint.

Weights that were pushed have been run by no machine of the user's. That they answer every row, and how often as the
rows say, is written beside the artefact (`record.py`); the next deployment has the mark lifted.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row, read_rows
from build.tasks.registry import TASKS
from build.workspace.progress import Notify
from build.workspace.publish import write_json
from contracts.manifest import Manifest, verify
from contracts.problems import Code, Problem
from contracts.specs import Deployment, ModelSpec
from contracts.tasks import WRITING_TASKS, Tier
from stacks.weights.proved import record_path
from turnout.client import Reply
from turnout.verify.errors import VerifyFailed
from turnout.verify.record import Repeated, record_of

# A tier that wakes says when to come back; one that takes longer than this is not waking.
PATIENCE_S = 1800.0
RETRY_S = 5.0
# The wake is measured, so that no more time passes unseen, though the router expects it to take longer.
LOOK_S = 15.0
# Rows of a model that writes that are asked a second time, to see whether its text is the same again.
REPEATS = 16
Ask = Callable[[dict[str, Any]], Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A model on its GPU tier, the share of its rows that has to be answered as they say, and how to wait."""

    spec: ModelSpec
    manifest: Manifest
    rows: Sequence[Row]
    at_least: float
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


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
    waking = Waking(ask, of.clock)
    with log.status(f"{of.spec.name}: asking its endpoint") as status:
        answers, refused = asked_endpoint(
            of, waking, lambda text: status.update(f"{of.spec.name}: {text}")
        )
        again = {
            place: _outputs(of, _answered(of, ask, of.rows[place]))
            for place in (_repeated(answers) if of.spec.task in WRITING_TASKS else ())
        }
    repeated = Repeated.of(answers, again)
    record = {
        **record_of(of.spec, of.manifest, of.rows, answers, refused, repeated, of.at_least),
        "instance": of.spec.gpu.instance if of.spec.gpu else "",
        "woke_s": waking.woke_s,
    }
    write_json(record_path(out, of.spec.name), record)
    return record


class Waking:
    """An endpoint, and the seconds from its first call, if that found it without a copy, to its first answer."""

    def __init__(self, ask: Ask, clock: Callable[[], float]) -> None:
        self._ask, self._clock = ask, clock
        self._called_at: float | None = None
        self._asleep = False
        self.woke_s: float | None = None

    def __call__(self, document: dict[str, Any]) -> Reply:
        if self._called_at is None:
            self._called_at = self._clock()
            reply = self._ask(document)
            self._asleep = reply.status == 503
            return reply
        reply = self._ask(document)
        if self._asleep and reply.status == 200:
            self.woke_s, self._asleep = round(self._clock() - self._called_at, 1), False
        return reply


def asked_endpoint(of: Wanted, ask: Ask, notify: Notify) -> tuple[list[Outputs | None], list[str]]:
    """Return the answer to each row, None without one, and the rows that were refused; raise VerifyFailed."""
    answers: list[Outputs | None] = []
    refused: list[str] = []
    for number, row in enumerate(of.rows, start=1):
        notify(f"row {number} of {len(of.rows)}")
        reply = _answered(of, ask, row)
        answers.append(_outputs(of, reply))
        if reply.status != 200:
            refused.append(f"row {number}: {reply.status} {_code(reply)}")
    return answers, refused


def _repeated(answers: Sequence[Outputs | None]) -> list[int]:
    """Return the places of answered rows to ask again, spread evenly."""
    places = [i for i, answer in enumerate(answers) if answer is not None]
    count = min(REPEATS, len(places))
    return [places[i * len(places) // count] for i in range(count)]


def _answered(of: Wanted, ask: Ask, row: Row) -> Reply:
    """Return what the endpoint answers to a row, once its tier is awake."""
    document = {**row.request.to_wire(), "tier": Tier.GPU}
    waited = 0.0
    while (reply := ask(document)).status == 503 and waited < PATIENCE_S:
        pause = min(reply.retry_after_s or RETRY_S, LOOK_S)
        of.pause(pause)
        waited += pause
    return reply


def _outputs(of: Wanted, reply: Reply) -> Outputs | None:
    """Return the outputs of an answer, None without one; raise VerifyFailed where another version answers."""
    if reply.status != 200:
        return None
    if reply.body["version"] != of.manifest.version:
        message = (
            f"its endpoint serves version {reply.body['version']}, and {of.manifest.version} is in the folder; deploy "
            "it by `npx cdk deploy --all` first"
        )
        raise VerifyFailed(of.spec.name, [Problem(code=Code.ARTEFACT_OUTDATED, message=message)])
    outputs: Outputs = reply.body["outputs"]
    return outputs


def _code(reply: Reply) -> str:
    return str(reply.body.get("code", "")) if isinstance(reply.body, dict) else ""
