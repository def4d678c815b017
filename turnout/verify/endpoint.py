"""`turnout verify MODEL --tier gpu`: the user's rows, answered by a deployed endpoint.

Weights that were pushed have been run by no machine of the user's. That they answer every row, and how often as the
rows say, is written beside the artefact (`record.py`); the next deployment has the mark lifted.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
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
from turnout.client import Reply, backoff_s
from turnout.verify.errors import VerifyFailed
from turnout.verify.record import Repeated, record_of

# A tier that wakes says when to come back; one that takes longer than this is not waking.
PATIENCE_S = 1800.0
RETRY_S = 5.0
# The wake is measured, so that no more time passes unseen, though the router expects it to take longer.
LOOK_S = 15.0
# Not now: the stage's throttle, or a tier that wakes or is full.
BUSY = (429, 503)
# Rows of a model that writes that are asked a second time, to see whether its text is the same again.
REPEATS = 16
Ask = Callable[[dict[str, Any]], Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A model on its GPU tier, the share of its rows that has to be answered as they say, and how to ask and wait.

    `concurrency` requests are sent at once, of a row each.
    """

    spec: ModelSpec
    manifest: Manifest
    rows: Sequence[Row]
    at_least: float
    concurrency: int = 1
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


def wanted(
    deployment: Deployment, name: str, out: Path, at_least: float, concurrency: int = 1
) -> Wanted:
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
    return Wanted(
        spec=spec, manifest=manifest, rows=rows, at_least=at_least, concurrency=concurrency
    )


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
    replies = _replies(of, ask, notify)
    refused = [
        f"row {number}: {reply.status} {_code(reply)}"
        for number, reply in enumerate(replies, start=1)
        if reply.status != 200
    ]
    return [_outputs(of, reply) for reply in replies], refused


def _replies(of: Wanted, ask: Ask, notify: Notify) -> list[Reply]:
    """Return what the endpoint answers to the rows, in their order; raise VerifyFailed.

    The first is asked alone: it wakes the tier, and tells which version answers, and whether it pays to wait for it.
    """
    count = len(of.rows)
    notify(f"row 1 of {count}")
    first = _answered(of, ask, of.rows[0])
    _outputs(of, first)
    replies, is_up = [first], first.status not in BUSY
    one = partial(_answered, of, ask, patience_s=PATIENCE_S if is_up else 0.0)
    pool = ThreadPoolExecutor(of.concurrency)
    try:
        for reply in pool.map(one, of.rows[1:]):
            replies.append(reply)
            notify(f"row {len(replies)} of {count}")
    finally:
        pool.shutdown(cancel_futures=True)
    if of.concurrency == 1 or not is_up:
        return replies
    # Others beside it may have taken the time that a row had.
    return [
        one(row) if reply.status >= 500 else reply
        for row, reply in zip(of.rows, replies, strict=True)
    ]


def _repeated(answers: Sequence[Outputs | None]) -> list[int]:
    """Return the places of answered rows to ask again, spread evenly."""
    places = [i for i, answer in enumerate(answers) if answer is not None]
    count = min(REPEATS, len(places))
    return [places[i * len(places) // count] for i in range(count)]


def _answered(of: Wanted, ask: Ask, row: Row, patience_s: float = PATIENCE_S) -> Reply:
    """Return what the endpoint answers to a row, once its tier is awake and its stage lets the request through."""
    document = {**row.request.to_wire(), "tier": Tier.GPU}
    waited, waits = 0.0, 0
    while (reply := ask(document)).status in BUSY and waited < patience_s:
        throttled = reply.status == 429
        pause = min(reply.retry_after_s or (backoff_s(waits) if throttled else RETRY_S), LOOK_S)
        of.pause(pause)
        waited, waits = waited + pause, waits + throttled
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
