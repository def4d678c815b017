"""Table of sentence encoders on requests of many texts: texts a second, at the lengths of public sets.

A run is one request with its tokenisation, but for OpenVINO, which is given tokens. Sets without enough readings of
each contender are left out, and named in the result; more rounds bring them in.
"""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import ALONE, EMBEDDERS, Item
from benchmarks.inference.encoding import export
from benchmarks.inference.rounds import Kept
from benchmarks.inference.taking_turns import by_threads, facts_of
from benchmarks.public_sets import banking77, xquad
from benchmarks.record import Row, publish
from contracts.tasks import Task
from functions.inference.token_batches import encode, open_tokenizer

REFERENCE = "sentence-transformers, torch fp32"
# The texts of a request of each set; of the mixed one, as many of each of the others.
TEXTS, PARAGRAPHS = 16, 6
MAX_TOKENS = 256


def main(args: Namespace) -> None:
    items, workloads = work(args.model, args.data)
    export(args.model, args.scratch, Task.FEATURE_EXTRACTION)
    answers: Mapping[str, list[list[Any]]] = {}
    rows: list[Row] = []
    facts: list[dict[str, Any]] = []
    # All threads on one text are one thread where there is only one.
    several = max(args.threads) > 1
    contenders = [each for each in EMBEDDERS if several or each.name != ALONE]
    every = range(len(items))
    for measured in by_threads(contenders, args, items, workloads, every, together=True):
        answers = answers or measured.answers
        threads = measured.setting.threads
        for name in answers:
            rates = {workload: _rate(measured.kept, name, workload) for workload in workloads}
            cosine = round(_cosine(answers[name], answers[REFERENCE]), 4)
            rows.append({"threads": threads, "what": name, "mean cosine": cosine, **rates})
        facts.append(facts_of(measured))
    short = sorted({name for name in workloads for row in rows if row[name] == "–"})
    lengths = {
        name: round(float(np.mean([len(items[i].ids) for i in picked])), 1)
        for name, picked in workloads.items()
    }
    publish(
        "inference_throughput",
        [{name: value for name, value in row.items() if name not in short} for row in rows],
        command="benchmarks.inference throughput",
        mean_tokens=lengths,
        too_few_readings=short,
        runs=facts,
    )


def work(model: Path, data: Path) -> tuple[list[Item], dict[str, Sequence[int]]]:
    """Return the texts, and the workloads: texts by name."""
    sets = {
        "Banking77": _some([row.text for row in banking77(data, "test")], TEXTS),
        "STS-B": _some(_stsb(data), TEXTS),
    }
    paragraphs = _some(xquad(data), PARAGRAPHS)
    sets["mixed with XQuAD"] = [*paragraphs, *(t for s in sets.values() for t in s[:PARAGRAPHS])]
    tokenizer = open_tokenizer(model / "tokenizer.json", MAX_TOKENS)
    items: list[Item] = []
    workloads: dict[str, Sequence[int]] = {}
    for name, texts in sets.items():
        workloads[name] = range(len(items), len(items) + len(texts))
        found = encode(tokenizer, texts)
        items += [Item(text=t, ids=tuple(e.ids)) for t, e in zip(texts, found, strict=True)]
    return items, workloads


def _some(texts: Sequence[str], count: int) -> list[str]:
    """Return that many of the texts, evenly spread."""
    return list(texts[:: len(texts) // count][:count])


def _stsb(data: Path) -> list[str]:
    lines = (data / "stsbenchmark" / "sts-test.csv").read_text("utf-8").rstrip("\n").split("\n")
    return [text for line in lines for text in line.split("\t")[5:7]]


def _rate(kept: Kept, name: str, workload: str) -> str:
    """Return texts a second; a dash if too few readings count."""
    ms = kept.typical(name, workload)
    return "–" if ms is None else f"{1e3 / ms:.0f}"


def _cosine(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> float:
    a, b = np.array(one), np.array(other)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(np.mean(np.sum(a * b, axis=1) / norms))
