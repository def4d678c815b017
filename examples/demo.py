"""The whole journey on one machine: deploy the example models into a local cloud, send requests, show the answers.

`make demo` runs it after the models are built; `make demo JSON=report.json` also writes the figures.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from contracts.models_toml import read_models_toml
from stacks.limits.throttle import stage_throttle
from turnout.calling import describe, shorten
from turnout.client import STATE, Endpoint, Reply, curl, predict
from turnout.local_deployment import ROOT, Files, Laptop
from turnout.progress import steps
from turnout.terminal import exit_with_message
from turnout.up.running import require_built

INTENTS, VECTORS = "support-intent", "sentence-embedding"
# Figures that only tasks with right answers have; a report has the same keys for every model.
LABEL_FIGURES = ("metric_original", "metric_built", "agreement")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRequest:
    """One request of the demo, and the tier that has to answer it."""

    model: str
    inputs: tuple[str, ...]
    tier: str
    body: dict[str, Any] = field(default_factory=dict)


REQUESTS = (
    DemoRequest(
        model=INTENTS, inputs=("where on earth is my parcel, it was due tuesday",), tier="cpu"
    ),
    DemoRequest(
        model=INTENTS, inputs=("you took the money two times for one order!!",), tier="cpu"
    ),
    DemoRequest(model=INTENTS, inputs=("what's the capital of Peru?",), tier="cpu"),
    DemoRequest(
        model=INTENTS, inputs=("the mug arrived in pieces",), tier="gpu", body={"tier": "gpu"}
    ),
    # More inputs than the CPU tier takes at once: a rule sends them to the GPU.
    DemoRequest(model=INTENTS, inputs=("i cant get into my acount",) * 40, tier="gpu"),
    DemoRequest(model=VECTORS, inputs=("A guitar is a musical instrument.",), tier="cpu"),
    DemoRequest(
        model=VECTORS, inputs=("Send me the invoice, please.", "I need a receipt."), tier="cpu"
    ),
)


def send_all(endpoint: Endpoint, pause_s: float) -> Iterator[tuple[DemoRequest, Reply]]:
    """Send each request twice and yield the second answer: the first one includes a cold start.

    Before each it waits, for the stage lets only so many through as a new account bears.
    """
    for request in REQUESTS:
        document = {"inputs": list(request.inputs), **request.body}
        time.sleep(pause_s)
        predict(endpoint, request.model, document)
        time.sleep(pause_s)
        yield request, predict(endpoint, request.model, document)


def row(request: DemoRequest, reply: Reply) -> dict[str, Any]:
    answer = reply.body
    if reply.status != 200:
        raise SystemExit(f"{request.model} answered {reply.status}: {answer}")
    if answer["tier"] != request.tier or len(answer["outputs"]) != len(request.inputs):
        raise SystemExit(
            f"{request.model}: expected {request.tier} to answer {len(request.inputs)} inputs: {answer}"
        )
    return {
        "model": answer["model"],
        "version": answer["version"],
        "tier": answer["tier"],
        "reason": answer["reason"],
        "input": request.inputs[0],
        "inputs": len(request.inputs),
        "output": answer["outputs"][0],
        "ms": round(reply.ms, 2),
    }


def show(rows: list[dict[str, Any]], console: Console) -> None:
    table = Table("model", "input", "answer", "tier", "reason", "ms", box=None, pad_edge=False)
    for r in rows:
        more = f"  (and {r['inputs'] - 1} more)" if r["inputs"] > 1 else ""
        text = shorten(r["input"], 40) + more
        table.add_row(
            r["model"], text, describe(r["output"]), r["tier"], r["reason"], f"{r['ms']:.0f}"
        )
    console.print(table)


def evidence(out: Path) -> list[dict[str, Any]]:
    """Return the evidence of each model and tier; a figure that its task does not have is null."""
    paths = sorted(out.glob("*/evidence/*.json"))
    return [dict.fromkeys(LABEL_FIGURES) | json.loads(path.read_text("utf-8")) for path in paths]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    target = parser.parse_args().json
    log = Console(stderr=True, highlight=False)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    files = Files(config=ROOT / "models.toml", out=ROOT / "models.out")
    deployment = read_models_toml(files.config)
    require_built(deployment, files.out)
    pause_s = 1 / stage_throttle(deployment, files.out).rate
    with Laptop(deployment, files, state=ROOT / STATE) as laptop:
        with steps(log, "deploying to a local cloud") as (laptop.say, laptop.detail):
            endpoint = laptop.deploy()
            laptop.say("sending requests, each of them twice")
            rows = [row(request, reply) for request, reply in send_all(endpoint, pause_s)]
        show(rows, console)
        line = curl(endpoint, INTENTS, "can I still change the delivery address?")
    if target:
        report = {"requests": rows, "models": evidence(files.out)}
        target.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
        log.print(f"figures: {target}")
    # Standard output is buffered in a pipe: the table has to come before the lines below.
    sys.stdout.flush()
    log.print(
        "\nEverything that was started is stopped. `make up` keeps it running; then try, with its own key,"
    )
    log.print(
        f"  {line}\n  {endpoint.url.rstrip('/')}/docs in a browser", soft_wrap=True, markup=False
    )
    log.print("What the build measured is in models.out/*/evidence/.")


if __name__ == "__main__":
    exit_with_message(main, Console(stderr=True, highlight=False))
