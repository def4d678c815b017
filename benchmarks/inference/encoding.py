"""Table of encoders: a text classifier at fixed numbers of tokens and on the real lengths of its rows."""

import json
import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contenders import OURS, Item
from benchmarks.contenders.peak import MACS
from benchmarks.inference import preparing
from benchmarks.inference.claims import COUNTS, LIMIT
from benchmarks.inference.rounds import PERCENTILE, Kept
from benchmarks.inference.taking_turns import Measured, by_threads, facts_of, figure, same
from benchmarks.record import Row, machine, publish
from contracts.manifest import read_manifest
from contracts.tasks import Task

LENGTHS = (8, 32, 128, 256)
REFERENCE = "torch fp32"
# Rows of SST-2's dev set, which come first; of them every so many, by length, stand for all.
DEV_ROWS, DEV_SAMPLE = 872, 24
DEV = "SST-2 dev"
CLOCKS = {"wall": "wall clock", "cpu": "processor time"}


def prepare(args: Namespace) -> None:
    """Make what the rounds need, and collect the answers."""
    items, workloads = work(args.model)
    export(args.model, args.scratch)
    export_backbone(args.model, args.scratch)
    # The texts of fixed lengths, which come last, are cut from rows and stand for no class.
    rows = len(items) - len(LENGTHS)
    preparing.prepare(args, items, workloads, min(rows, args.rows or rows))


def main(args: Namespace) -> None:
    items, workloads = work(args.model)
    prepared = preparing.Prepared.read(args.scratch, read_manifest(args.artefact).version)
    for measured in by_threads(prepared.contenders, args, items, workloads, minutes=args.minutes):
        threads = measured.setting.threads
        rows = _rows(measured, prepared.answers, workloads, items, args.model)
        publish(
            f"inference_{threads}_{processor_of(machine())}",
            rows,
            command=f"benchmarks.inference encoder --threads {threads}",
            how=f"{PERCENTILE}th percentile of the readings that count, {CLOCKS[measured.setting.clock]}",
            recipe=prepared.recipe,
            rows_compared=len(prepared.answers[OURS]),
            not_prepared=dict(prepared.missing),
            run=facts_of(measured),
        )


def processor_of(machine: Mapping[str, Any]) -> str:
    """Return the part of a result's name that says where it was measured, such as "amd_epyc_avx_512_vnni".

    Another processor's results stay beside it.
    """
    name = re.sub(r"\(\w+\)|@.*|\b(cpu|processor|\d+-core)\b", " ", machine["cpu"].lower())
    widest = machine["instructions"].split(" with ")[-1].split(",")[0].lower()
    return "_".join(re.findall(r"[a-z0-9]+", f"{name} {widest}"))


def work(model: Path) -> tuple[list[Item], dict[str, Sequence[int]]]:
    """Return the rows followed by one text of each of LENGTHS, and the workloads: items by name."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    lines = (model / "eval.jsonl").read_text("utf-8").split("\n")
    texts = [json.loads(line)["text"].strip() for line in lines if line]
    long = _cut(tokenizer, " ".join(texts[:100]))
    items = [Item(text=t, ids=tuple(tokenizer.encode(t).ids)) for t in [*texts, *long]]
    fixed = {f"{n} tokens": [len(texts) + i] for i, n in enumerate(LENGTHS)}
    dev = sorted(range(min(DEV_ROWS, len(texts))), key=lambda i: len(items[i].ids))
    return items, {**fixed, DEV: dev[:: max(1, len(dev) // DEV_SAMPLE)]}


def _cut(tokenizer: Any, text: str) -> list[str]:
    """Truncate the text to each of LENGTHS in tokens; raises SystemExit if it is too short."""
    ends = [end for _, end in tokenizer.encode(text).offsets][1:-1]
    if len(ends) < max(LENGTHS):
        raise SystemExit(f"the first rows of eval.jsonl have {len(ends)} tokens, too few")
    return [text[: ends[n - 3]] for n in LENGTHS]  # two of them are special


def export(model: Path, scratch: Path, task: Task = Task.TEXT_CLASSIFICATION) -> None:
    """Export the graphs that other runtimes start from."""
    if (scratch / "fused.onnx").exists():
        return
    from build.families.registry import family_of
    from build.sources.readers import inspect

    source, problems = inspect(model, task, None)
    if source is None:
        raise SystemExit("\n".join(map(str, problems)))
    family_of(source).prepare(source, scratch, print)


def export_backbone(model: Path, scratch: Path) -> None:
    """Save the encoder without its head."""
    if (scratch / "backbone").exists():
        return
    import transformers

    backbone = transformers.AutoModel.from_pretrained(model, local_files_only=True)
    backbone.save_pretrained(scratch / "backbone")
    transformers.AutoTokenizer.from_pretrained(model).save_pretrained(scratch / "backbone")


def macs(config: Mapping[str, int], tokens: int) -> int:
    """Return the multiply-accumulates of a BERT encoder with pooler on one text, without the two-class head."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    # Queries, keys, values and output; the two feed-forward products; the scores and the weighted sum of values.
    layer = tokens * (4 * hidden * hidden + 2 * hidden * inner) + 2 * tokens * tokens * hidden
    return config["num_hidden_layers"] * layer + hidden * hidden


def _rows(
    measured: Measured,
    answers: Mapping[str, list[list[int]]],
    workloads: Mapping[str, Sequence[int]],
    items: Sequence[Item],
    model: Path,
) -> list[Row]:
    """Return the table, in which every cell has a figure; raise SystemExit otherwise."""
    kept = measured.kept
    rows: list[Row] = []
    for name in measured.versions:
        cells = {workload: full_cell(kept, name, workload) for workload in workloads}
        share = same(answers[name], answers[REFERENCE])
        rows.append({"what": name, **agreement(share), "readings": least(kept, name), **cells})
    config = json.loads((model / "config.json").read_text("utf-8"))
    limits = {
        workload: sum(macs(config, len(items[i].ids)) for i in chosen) / len(chosen)
        for workload, chosen in workloads.items()
    }
    cells = {w: limit(measured, count / MACS * kept.kernel_ms, w) for w, count in limits.items()}
    # It is no model, and answers nothing.
    nothing: Row = {"same label": "–", "counts": "–", "readings": "–"}
    return [*rows, {"what": LIMIT, **nothing, **cells}]


def full_cell(kept: Kept, contender: str, workload: str) -> str:
    """Return a cell with the time and its multiple of ours; raise SystemExit for one without a figure."""
    ms = figure(kept, contender, workload)
    return f"{ms:.2f} ({ms / figure(kept, OURS, workload):.2f}×)"


def agreement(share: float) -> Row:
    """Return the share of labels that are the full model's, and whether it is enough to be compared with ours."""
    return {"same label": f"{share:.2%}", "counts": "yes" if share >= COUNTS else "no"}


def least(kept: Kept, contender: str) -> int:
    """Return the fewest readings that a contender's cells are made of."""
    return min(len(values) for (name, _), values in kept.ms.items() if name == contender)


def limit(measured: Measured, ms: float, workload: str) -> str:
    """Return the time of the multiplications alone at the INT8 peak, and its ratio to our artefact's."""
    return f"{ms:.2f} ({ms / figure(measured.kept, OURS, workload):.2f}×)"
