"""The whole journey on one machine: deploy the example models into a local cloud, ask both, show the answers.

`make demo` runs it after the models are built; `make demo JSON=report.json` also writes the figures.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from contracts.models_toml import read_models_toml
from turnout.calling import describe, shorten
from turnout.client import Endpoint, Reply, curl, predict
from turnout.exit_handling import exit_with_message
from turnout.laptop import ROOT, STATE, Files, Laptop
from turnout.progress import steps
from turnout.running import require_built

INTENTS, VECTORS = "support-intent", "sentence-embedding"
LABEL_FIGURES = ("metric_original", "metric_built", "agreement")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request of the demo, and the tier that has to answer it."""

    model: str
    inputs: tuple[str, ...]
    tier: str
    body: dict[str, Any] = field(default_factory=dict)


ASKS = (
    Ask(model=INTENTS, inputs=("where on earth is my parcel, it was due tuesday",), tier="cpu"),
    Ask(model=INTENTS, inputs=("you took the money two times for one order!!",), tier="cpu"),
    Ask(model=INTENTS, inputs=("what's the capital of Peru?",), tier="cpu"),
    Ask(model=INTENTS, inputs=("the mug arrived in pieces",), tier="gpu", body={"tier": "gpu"}),
    Ask(model=INTENTS, inputs=("i cant get into my acount",) * 40, tier="gpu"),
    Ask(model=VECTORS, inputs=("A guitar is a musical instrument.",), tier="cpu"),
    Ask(model=VECTORS, inputs=("Send me the invoice, please.", "I need a receipt."), tier="cpu"),
)


def ask_all(endpoint: Endpoint) -> Iterator[tuple[Ask, Reply]]:
    """Each request twice: the first wakes the function up, the second is the one that is shown."""
    for ask in ASKS:
        document = {"inputs": list(ask.inputs), **ask.body}
        predict(endpoint, ask.model, document)
        yield ask, predict(endpoint, ask.model, document)


def row(ask: Ask, reply: Reply) -> dict[str, Any]:
    answer = reply.body
    if reply.status != 200:
        raise SystemExit(f"{ask.model} answered {reply.status}: {answer}")
    if answer["tier"] != ask.tier or len(answer["outputs"]) != len(ask.inputs):
        raise SystemExit(
            f"{ask.model}: expected {ask.tier} to answer {len(ask.inputs)} inputs: {answer}"
        )
    return {
        "model": answer["model"],
        "version": answer["version"],
        "tier": answer["tier"],
        "reason": answer["reason"],
        "input": ask.inputs[0],
        "inputs": len(ask.inputs),
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
    """What the build measured, one entry per model and tier; null where a figure is not the task's."""
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
    with Laptop(deployment, files, state=ROOT / STATE) as laptop:
        with steps(log, "deploying to a local cloud") as (laptop.say, laptop.detail):
            endpoint = laptop.deploy()
            laptop.say("sending requests, each of them twice")
            rows = [row(ask, reply) for ask, reply in ask_all(endpoint)]
        show(rows, console)
        line = curl(endpoint, INTENTS, "can I still change the delivery address?")
    if target:
        report = {"requests": rows, "models": evidence(files.out)}
        target.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
        log.print(f"figures: {target}")
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
