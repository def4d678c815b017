"""The smoke test as ordered steps, and the two that follow whatever happens: everything goes, and nothing is left."""

import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from build.evaluation.rows import Row, read_rows
from build.tasks.registry import TASKS
from contracts.errors import TurnoutError
from contracts.names import model_stack
from contracts.specs import ModelSpec
from contracts.tasks import Tier
from scripts.account_smoke.app import UPDATED
from scripts.account_smoke.commands import ROOT, Smoke, SmokeFailed
from turnout.client import Reply, predict

CDK = ROOT / "node_modules/.bin/cdk"
TURNOUT = Path(sys.executable).with_name("turnout")
CALLS, PAUSE_S = 20, 0.5
# A component sleeps a quarter of an hour after the last request, and wakes in about ten minutes.
ASLEEP_S, AWAKE_S, EVERY_S = 1800, 1200, 30
Figures = dict[str, Any]


def doctor(smoke: Smoke) -> Figures:
    """Look for what would keep a deployment from succeeding."""
    if smoke.local:
        return {"skipped": "a local cloud has neither quotas nor a bootstrap to look at"}
    found = json.loads(smoke.run(TURNOUT, "doctor", "--json"))["findings"]
    return {"findings": len(found)}


def deploy(smoke: Smoke) -> Figures:
    """Deploy every stack."""
    return _deploy(smoke)


def _deploy(smoke: Smoke, more: Mapping[str, str] | None = None) -> Figures:
    app = f"{sys.executable} -m scripts.account_smoke.app"
    outputs = smoke.work / "outputs.json"
    options = ("--require-approval", "never", "--output", smoke.work / "cdk.out")
    smoke.run(CDK, "deploy", "--all", "--app", app, *options, "--outputs-file", outputs, more=more)
    return {"stacks": 1 + sum(len(model.tiers) for model in smoke.deployment.models)}


def rows_of(model: ModelSpec) -> tuple[Row, ...]:
    """Return the rows of a model's `eval`, which are what is asked."""
    rows, problems = read_rows(model.eval, TASKS[model.task].rows, None)
    if problems:
        raise SmokeFailed("; ".join(map(str, problems)))
    return rows


def requests_of(smoke: Smoke) -> Iterator[tuple[str, Figures]]:
    """Yield a model and a request for ever, each tier of each model in turn."""
    kept = [
        (model.name, tier, cycle(rows_of(model)))
        for model in smoke.deployment.models
        for tier in model.tiers
    ]
    for name, tier, rows in cycle(kept):
        request = next(rows).request
        body = {"inputs": list(request.inputs), "parameters": dict(request.parameters)}
        yield name, {**body, "tier": tier, "allow_degraded": False}


def calls(smoke: Smoke) -> Figures:
    """Call every tier of every model in turn."""
    endpoint = smoke.endpoint
    replies = []
    for one in islice(requests_of(smoke), CALLS):
        replies.append(predict(endpoint, *one))
        # A new account bears few requests at once, and the throttle of the stage follows from that.
        time.sleep(PAUSE_S)
    if wrong := [_said(reply) for reply in replies if reply.status != 200]:
        raise SmokeFailed(f"{len(wrong)} of {CALLS} calls were not answered, such as {wrong[0]}")
    tiers = [str(reply.body["tier"]) for reply in replies]
    return {
        "calls": CALLS,
        **{str(tier): tiers.count(tier) for tier in Tier if tier in tiers},
        "ms_median": round(statistics.median(reply.ms for reply in replies), 1),
        "ms_longest": round(max(reply.ms for reply in replies), 1),
    }


def _said(reply: Reply) -> str:
    return f"{reply.status} {json.dumps(reply.body)[:200]}"


def sleep_and_wake(smoke: Smoke) -> Figures:
    """Wait until a GPU tier sleeps, wake it by a request, and wait for its answer."""
    sleepers = [one for one in smoke.deployment.models if one.gpu and not one.gpu.min_instances]
    if not sleepers or smoke.local:
        return {"skipped": "no GPU tier may sleep" if not sleepers else "hours are not waited for"}
    model = sleepers[0]
    _until(smoke, ASLEEP_S, "sleeps", lambda: _copies(smoke, model) == 0)
    body = {
        "inputs": list(rows_of(model)[0].request.inputs),
        "tier": "gpu",
        "allow_degraded": False,
    }
    first = predict(smoke.endpoint, model.name, body)
    if first.status != 503 or "Retry-After" not in first.headers:
        raise SmokeFailed(
            f"a sleeping tier has to answer 503 and when to come back, not {_said(first)}"
        )
    woken = time.monotonic()
    _until(
        smoke, AWAKE_S, "answers", lambda: predict(smoke.endpoint, model.name, body).status == 200
    )
    return {"model": model.name, "woken_in_s": round(time.monotonic() - woken)}


def _copies(smoke: Smoke, model: ModelSpec) -> int:
    stack = model_stack(smoke.deployment.name, model.name, Tier.GPU)
    found = json.loads(smoke.run(*_turnout(smoke, "status")))["stacks"]
    runs = next(str(one.get("runs", "")) for one in found if one["stack"] == stack)
    return int(runs.partition("copies ")[2].partition(",")[0] or 0)


def _until(smoke: Smoke, seconds: float, what: str, holds: Callable[[], bool]) -> None:
    end = min(time.monotonic() + seconds, smoke.deadline)
    while not holds():
        if time.monotonic() > end:
            raise SmokeFailed(f"the GPU tier has not come to where it {what}")
        time.sleep(EVERY_S)


def update(smoke: Smoke) -> Figures:
    """Give every function more memory, while callers go on."""
    with calling(smoke) as answered:
        _deploy(smoke, {UPDATED: "1"})
    if wrong := [reply for reply in answered if reply.status != 200]:
        raise SmokeFailed(
            f"{len(wrong)} of {len(answered)} calls failed during the update: {_said(wrong[0])}"
        )
    return {"calls_meanwhile": len(answered)}


@contextmanager
def calling(smoke: Smoke) -> Iterator[list[Reply]]:
    """Call CPU tiers twice a second while the block runs; yield the list of replies."""
    endpoint, done, replies = smoke.endpoint, threading.Event(), []
    on_cpu = (one for one in requests_of(smoke) if one[1]["tier"] is Tier.CPU)

    def call() -> None:
        while not done.wait(PAUSE_S):
            replies.append(predict(endpoint, *next(on_cpu)))

    caller = threading.Thread(target=call) if any(m.cpu for m in smoke.deployment.models) else None
    if caller:
        caller.start()
    try:
        yield replies
    finally:
        done.set()
        if caller:
            caller.join()


def down(smoke: Smoke) -> Figures:
    """Delete everything, images included; the time that is paid for ends nothing of it."""
    found = json.loads(smoke.run(*_turnout(smoke, "down"), "--yes", until=time.monotonic() + 3600))
    return {"stacks": len(found["stacks"]), "images": len(found["images"])}


def nothing_left(smoke: Smoke) -> Figures:
    """Look whether anything is left."""
    status = json.loads(smoke.run(*_turnout(smoke, "status"), until=time.monotonic() + 600))
    left = [one["stack"] for one in status["stacks"] if one["state"] != "not deployed"]
    left += [f"{kind} {one}" for kind, found in status["orphans"].items() for one in found]
    if left:
        raise SmokeFailed(f"still there: {', '.join(left)}; run `turnout down` again")
    return {"left": 0}


def _turnout(smoke: Smoke, command: str) -> tuple[str | Path, ...]:
    # Not the user's models.toml, which is of another name.
    nowhere = smoke.work / "models.toml"
    named = ("--deployment", smoke.deployment.name, "--region", smoke.deployment.region)
    return TURNOUT, command, "--json", "--config", nowhere, *named


Step = Callable[[Smoke], Figures]
Steps = tuple[tuple[str, Step], ...]
STEPS: Steps = (
    ("doctor", doctor),
    ("deploy", deploy),
    ("calls", calls),
    ("sleep and wake", sleep_and_wake),
    ("update", update),
)
ALWAYS: Steps = (("down", down), ("nothing left", nothing_left))


def run(
    smoke: Smoke, say: Callable[[str], None], steps: Steps = STEPS, always: Steps = ALWAYS
) -> list[Figures]:
    """Return the outcome of each step; after one that fails, or an interrupt, everything is deleted all the same."""
    done: list[Figures] = []
    try:
        for name, step in steps:
            done.append(_outcome(name, step, smoke, say))
            if done[-1]["outcome"] != "passed":
                break
    except KeyboardInterrupt:
        say("interrupted; deleting everything")
        done.append({"step": "interrupted", "outcome": "failed", "seconds": 0.0})
    done += [_outcome(name, step, smoke, say) for name, step in always]
    return done


def _outcome(name: str, step: Step, smoke: Smoke, say: Callable[[str], None]) -> Figures:
    start = time.monotonic()
    say(f"{name} …")
    try:
        figures, outcome = step(smoke), "passed"
    except (TurnoutError, OSError, ValueError, KeyError) as error:
        figures, outcome = {"why": str(error)}, "failed"
    took = {
        "step": name,
        "outcome": outcome,
        "seconds": round(time.monotonic() - start, 1),
        **figures,
    }
    say(f"{name}: {outcome}, {took['seconds']:.0f} s {figures}")
    return took
