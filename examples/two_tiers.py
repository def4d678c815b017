"""Two models behind one name: MiniLM in 8 bits on the CPU tier, and MPNet-base for what MiniLM is unsure of.

`make demo-two-tiers` runs it once both are built. It calibrates the cascade on rows that neither model has seen,
compares the models on others, and deploys both into a local cloud, in which a function is killed and the GPU tier falls
asleep; `make demo-two-tiers JSON=report.json` also writes the figures.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from build.cascade.calibrating import Asked
from build.evaluation.agreement import AnswerComparison, AnswerFigures
from build.evaluation.rows import read_rows
from build.proof.native_run import run_on_rows
from build.report.page import CASCADE_PAGE
from build.tasks.registry import TASKS
from contracts.cascade.calibration import FILE, Calibration, read_calibration
from contracts.manifest import file_sha256, read_manifest
from contracts.models_toml import read_models_toml
from contracts.names import model_stack
from contracts.specs import Deployment
from contracts.tasks import Task, Tier
from examples.rows import HERE as SMALL
from examples.rows import TWO_TIERS as HERE
from local.control.data_plane import data_plane, use
from stacks.limits.throttle import stage_throttle
from turnout.calibrate.calibrating import calibrated, show
from turnout.calling import describe, shorten
from turnout.client import Endpoint, Reply, predict
from turnout.local_deployment import ROOT, Files, Laptop, relative_to_here
from turnout.progress import steps
from turnout.terminal import exit_with_message
from turnout.up.running import require_built

# As seen from the project's folder, in which make runs this, so that what is printed is short.
FILES = Files(config=HERE / "models.toml", out=relative_to_here(HERE / "models.out"))
INTENTS = "support-intent"
ASKED = Asked(rows=HERE / "calibration.jsonl", max_loss=0.01, training=(SMALL / "train.jsonl",))
# Neither training, the gate nor the calibration has seen these.
COMPARED = SMALL / "eval.jsonl"
# Longer than it takes a tier to fall asleep.
NIGHT_S = 3600.0

TEXTS = (
    "you took the money two times for one order!!",
    "I was promised my cash back last week",
    "what's the capital of Peru?",
    "the kettle you sent hums and smells of smoke",
    "are you a machine",
    "where on earth is my parcel, it was due tuesday",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Shares of the compared rows that each model, and both together, label right, and the share that is kept.

    `low` to `high` is the 95 % confidence interval of the large model's share less the small one's, by a bootstrap over
    the same rows for both.
    """

    rows: int
    small: float
    large: float
    both: float
    kept: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One request of the demo: what happened before it, the CPU tier's confidence in it, and the answer."""

    scene: str
    text: str
    confidence: float
    answer: dict[str, Any]
    ms: float


def calibration(deployment: Deployment, files: Files, asked: Asked, log: Console) -> dict[str, Any]:
    """Return the model's calibration as a document; one of these artefacts, rows and loss is not made again."""
    model = deployment.models[0].name
    place = files.out / model
    found = read_calibration(place / FILE)
    if found is None or not is_current(found, place, asked):
        return calibrated(deployment, model, files.out, asked, log)
    paths = {"file": str(place / FILE), "page": str(place / CASCADE_PAGE)}
    return {**json.loads(found.to_json()), **paths}


def is_current(found: Calibration, place: Path, asked: Asked) -> bool:
    """Return true if a calibration is of the artefacts in the model's folder and of what is asked."""
    digests = tuple(read_manifest(place / tier).digest for tier in Tier)
    wanted = (*digests, file_sha256(asked.rows), asked.max_loss)
    return (found.cpu, found.gpu, found.rows_sha256, found.max_loss) == wanted


def compare(place: Path, rows_file: Path, threshold: float) -> Comparison:
    """Run both artefacts of a model's folder on labelled rows; together, the small one counts from `threshold` on."""
    task = TASKS[Task.TEXT_CLASSIFICATION]
    rows, problems = read_rows(rows_file, task.rows, read_manifest(place / Tier.CPU).labels)
    assert not problems
    assert isinstance(task.comparison, AnswerComparison)
    small, large = (run_on_rows(place / tier, rows, [[{}]] * len(rows)) for tier in Tier)
    figures = task.comparison.measure(large, small, rows)
    assert isinstance(figures, AnswerFigures)
    kept = np.array([outputs[0]["score"] >= threshold for outputs in small])
    given = [s if stays else b for s, b, stays in zip(small, large, kept, strict=True)]
    right = [outputs[0]["label"] == row.answer for outputs, row in zip(given, rows, strict=True)]
    return Comparison(
        rows=len(rows),
        small=figures.metric_original,
        large=figures.metric_built,
        both=float(np.mean(right)),
        kept=float(kept.mean()),
        low=figures.difference_low,
        high=figures.difference_high,
    )


def ask(endpoint: Endpoint, text: str, **options: Any) -> Reply:
    """Send one text; raise SystemExit if it is not answered."""
    reply = predict(endpoint, INTENTS, {"inputs": [text], **options})
    if reply.status != 200:
        raise SystemExit(f"{INTENTS} answered {reply.status}: {reply.body}")
    return reply


def asking(scene: str, text: str, confidence: float, reply: Reply) -> Asking:
    return Asking(scene=scene, text=text, confidence=confidence, answer=reply.body, ms=reply.ms)


def scenes(laptop: Laptop, endpoint: Endpoint, pause_s: float) -> Iterator[Asking]:
    """Send the texts to tiers that are awake, one while the CPU tier's function dies, one while the GPU tier sleeps."""
    confidences = {}
    for text in TEXTS:
        time.sleep(pause_s)
        confidences[text] = ask(endpoint, text, tier="cpu").body["outputs"][0]["score"]
        time.sleep(pause_s)
        # The first escalation of all waits for the container, which has not computed anything yet.
        yield asking("both tiers are awake", text, confidences[text], ask(endpoint, text))
    surest = max(TEXTS, key=confidences.__getitem__)
    least_sure = min(TEXTS, key=confidences.__getitem__)
    time.sleep(pause_s)
    reply = while_killed(laptop, endpoint, surest)
    yield asking("the CPU function is killed", surest, confidences[surest], reply)
    fall_asleep()
    time.sleep(pause_s)
    reply = ask(endpoint, least_sure)
    yield asking("the GPU tier sleeps", least_sure, confidences[least_sure], reply)


def while_killed(laptop: Laptop, endpoint: Endpoint, text: str) -> Reply:
    """Send a text and kill the CPU tier's function while it has the request."""
    name = f"lambda {model_stack(laptop.deployment.name, INTENTS, Tier.CPU)}"
    pids = [process.pid for process in laptop.cloud.processes() if process.name == name]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)

    def kill() -> None:
        # The router runs as long as its request, and the CPU tier's function once it has been invoked.
        while laptop.cloud.functions.running < 2:
            time.sleep(0.01)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    reply = ask(endpoint, text)
    thread.join()
    return reply


def fall_asleep() -> None:
    """Let a night pass in the local cloud, of whose clock copies of GPU tiers are counted."""
    use(replace(data_plane(), clock=lambda: time.time() + NIGHT_S))


def table(askings: list[Asking], threshold: float) -> Table:
    """Return the requests as a table, each with the CPU tier's confidence and who has answered."""
    found = Table(
        "", "input", "confidence", "answer", "tier", "reason", "ms", box=None, pad_edge=False
    )
    found.columns[2].justify = found.columns[6].justify = "right"
    scene = ""
    for one in askings:
        mark = "≥" if one.confidence >= threshold else "<"
        (output,) = one.answer["outputs"]
        found.add_row(
            "" if one.scene == scene else one.scene,
            shorten(one.text, 48),
            f"{one.confidence:.3f} {mark} {threshold:.3f}",
            describe(output),
            output.get("tier", one.answer["tier"]),
            one.answer["reason"] + (", degraded" if one.answer.get("degraded") else ""),
            f"{one.ms:.0f}",
        )
        scene = one.scene
    return found


def sentences(found: Comparison) -> tuple[str, ...]:
    """Return the comparison in words."""
    return (
        f"right on {found.rows} other rows: {found.small:.1%} by MiniLM on the CPU tier, {found.large:.1%} by "
        f"MPNet-base on the GPU tier, {found.both:.1%} by both together, where the CPU tier keeps {found.kept:.1%}",
        f"MPNet-base less MiniLM: {100 * (found.large - found.small):+.1f} points, with a 95 % confidence interval of "
        f"{100 * found.low:+.1f} to {100 * found.high:+.1f} (paired bootstrap)",
    )


def check(askings: list[Asking], found: Comparison) -> None:
    """Raise SystemExit unless everything was seen that the demo is to show."""
    reasons = [one.answer["reason"] for one in askings]
    # A tier that sleeps is waking from the first escalation on, which may be another router's.
    wanted = (("fits_cpu",), ("escalated",), ("cpu_failing",), ("gpu_asleep", "gpu_waking"))
    if missing := [" or ".join(some) for some in wanted if not {*some} & {*reasons}]:
        raise SystemExit(f"no request was answered for the reason {', '.join(missing)}: {reasons}")
    if found.low <= 0:
        raise SystemExit(
            "the interval has 0 in it: these rows do not show that MPNet-base is better"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.two_tiers", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    target = parser.parse_args().json
    log = Console(stderr=True, highlight=False)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    deployment = read_models_toml(FILES.config)
    require_built(deployment, FILES.out)
    document = calibration(deployment, FILES, ASKED, log)
    show(document, console)
    threshold = document["chosen"]["threshold"]
    with log.status("comparing both models"):
        found = compare(FILES.out / INTENTS, COMPARED, threshold)
    for sentence in sentences(found):
        console.print(sentence, soft_wrap=True)
    pause_s = 1 / stage_throttle(deployment, FILES.out).rate
    with Laptop(deployment, FILES, state=ROOT / ".turnout/two-tiers") as laptop:
        with steps(log, "deploying to a local cloud") as (laptop.say, laptop.detail):
            endpoint = laptop.deploy()
            laptop.say("sending requests")
            askings = list(scenes(laptop, endpoint, pause_s))
    console.print()
    console.print(table(askings, threshold))
    if target:
        report = {
            "requests": [asdict(one) for one in askings],
            "comparison": asdict(found),
            "calibration": document,
        }
        target.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
        log.print(f"figures: {target}")
    check(askings, found)


if __name__ == "__main__":
    exit_with_message(main, Console(stderr=True, highlight=False))
