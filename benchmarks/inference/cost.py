"""Table of costs: a million requests of one text each, at the lengths of three public sets, before and after.

The time of a text is measured at rows that stand for the whole set, since one of them is at each of evenly spaced
lengths; what a function adds to its graph is measured at the same rows. Prices are those of `stacks/prices.json`.
"""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.contenders import OURS, REQUEST, Item
from benchmarks.inference.candidates import candidates_in
from benchmarks.inference.encoding import processor_of
from benchmarks.inference.preparing import contenders_beside
from benchmarks.inference.rounds import Kept
from benchmarks.inference.taking_turns import by_threads, facts_of, figure
from benchmarks.public_sets import banking77, sst2_evaluation, xquad
from benchmarks.record import Row, machine, publish
from contracts.limits import LAMBDA_MB_PER_VCPU
from contracts.manifest import TOKENIZER, read_manifest
from contracts.tasks import Task
from functions.inference.token_batches import encode, open_tokenizer
from stacks.costs.prices import price
from stacks.costs.requests import (
    answer_bytes,
    billed_ms,
    function_run,
    request_parts,
    request_usd,
)

# Which side of the table each is on, and its name there.
SIDES = {
    "ONNX Runtime fp32": ("before", "ONNX Runtime, full precision"),
    "Turnout without kernels": ("before", "ONNX Runtime, int8 smoothed"),
    "Turnout with kernels": ("after", "ONNX Runtime, int8 smoothed, kernels"),
    "Turnout on OpenVINO": ("after", "OpenVINO, int8"),
}
# Rows that stand for a set.
ROWS = 16
REGION = "us-east-1"
MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """US dollars of a million requests: of the model's function, of that its fee, and of all parts.

    `fixed` are those of all parts of a model that takes no time.
    """

    function: float
    fee: float
    whole: float
    fixed: float


def main(args: Namespace) -> None:
    manifest = read_manifest(args.artefact)
    if not candidates_in(args.scratch):
        raise SystemExit(
            f"{args.scratch} has no candidates: run `prepare` with the same paths first"
        )
    texts = {
        "SST-2, sentences": [row.text for row in sst2_evaluation(args.data)],
        "Banking77, queries": [row.text for row in banking77(args.data, "test")],
        "XQuAD, paragraphs": xquad(args.data),
    }
    tokenizer = open_tokenizer(args.artefact / TOKENIZER, manifest.max_tokens)
    sets = {
        name: [
            Item(text=t, ids=tuple(e.ids))
            for t, e in zip(rows, encode(tokenizer, rows), strict=True)
        ]
        for name, rows in texts.items()
    }
    items: list[Item] = []
    workloads: dict[str, Sequence[int]] = {}
    for name, found in sets.items():
        workloads[name] = range(len(items), len(items) + ROWS)
        items += spread_by_length(found, ROWS)
    contenders = [
        each for each in contenders_beside(manifest.recipe) if each.name in (OURS, REQUEST, *SIDES)
    ]
    [measured] = by_threads(
        contenders, args, items, workloads, minutes=args.minutes, name="items-cost.jsonl"
    )
    rows = [
        row
        for name, found in sets.items()
        for row in rows_of(name, found, measured.kept, list(measured.versions), manifest.recipe)
    ]
    publish(
        f"inference_cost_{processor_of(machine())}",
        rows,
        command="benchmarks.inference cost --threads 1 --clock cpu",
        region=REGION,
        memory_mb=LAMBDA_MB_PER_VCPU,
        run=facts_of(measured),
    )


def spread_by_length(items: Sequence[Item], count: int) -> list[Item]:
    """Return so many items at evenly spaced places of their order by length: the mean of each part of the set."""
    ordered = sorted(items, key=lambda item: len(item.ids))
    return [ordered[(2 * part + 1) * len(ordered) // (2 * count)] for part in range(count)]


def rows_of(
    name: str, items: Sequence[Item], kept: Kept, contenders: Sequence[str], recipe: str
) -> list[Row]:
    """Return the rows of a set; raise SystemExit for one that too few readings count of."""
    lengths = [len(item.ids) for item in items]
    median, most = np.percentile(lengths, [50, 95])
    around = max(0.0, figure(kept, REQUEST, name) - figure(kept, OURS, name))
    rows: list[Row] = []
    for contender in [*(each for each in SIDES if each in contenders), OURS]:
        side, what = SIDES.get(contender, ("ships", recipe))
        ms = figure(kept, contender, name) + around
        cost = cost_of(ms)
        rows.append(
            {
                "texts": name,
                "tokens": f"{median:.0f}, 95% below {most:.0f}",
                "when": side,
                "what": what,
                "ms a text": round(ms, 2),
                "function, $": f"{cost.function:.2f}",
                "of it the fee": f"{cost.fee / cost.function:.0%}",
                "whole request, $": f"{cost.whole:.2f}",
                "fixed": f"{cost.fixed / cost.whole:.0%}",
            }
        )
    return rows


def cost_of(ms: float) -> Cost:
    """Return what a million texts cost that take so long on one vCPU."""
    parts, nothing = _parts(ms), _parts(0.0)
    return Cost(
        function=MILLION * parts["model"],
        fee=MILLION * price("lambda_request", REGION).first,
        whole=MILLION * sum(parts.values()),
        fixed=MILLION * sum(nothing.values()),
    )


def _parts(ms: float) -> dict[str, float]:
    billed = billed_ms(ms, LAMBDA_MB_PER_VCPU)
    run = function_run(LAMBDA_MB_PER_VCPU, billed)
    sent = answer_bytes(Task.TEXT_CLASSIFICATION, 0)
    return request_usd(request_parts(billed, run, sent), REGION)
