"""Table of generators: milliseconds per token by the length of the prompt, over 64 tokens.

Every contender is teacher-forced along the same tokens, the continuation of the prompt in the text, so that none ends
earlier than another; its own likeliest token at each position shows how near it is to the full model.
"""

import shutil
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.contenders import DECODERS, Item
from benchmarks.inference.taking_turns import Measured, by_threads, cell, facts_of, same
from benchmarks.record import Row, publish

PROMPTS = (32, 128)
WRITTEN = 64
# Texts that answers are compared on, of each length of prompt.
COMPARED = 8
# What prompts are cut from: more than enough for all of them.
CHARACTERS = 40_000
REFERENCE = "torch fp32"


def main(args: Namespace) -> None:
    # A contender is given no path but the scratch folder, where llama.cpp's takes the one GGUF file.
    if not (args.scratch / args.gguf.name).exists():
        shutil.copyfile(args.gguf, args.scratch / args.gguf.name)
    items = work(args.model, args.text)
    workloads = {f"{n} tokens read": [i * COMPARED] for i, n in enumerate(PROMPTS)}
    rows: list[Row] = []
    facts: list[dict[str, Any]] = []
    answers: Mapping[str, list[list[int]]] = {}
    for measured in by_threads(DECODERS, args, items, workloads, range(len(items))):
        answers = answers or measured.answers
        rows += [_row(measured, answers, name, list(workloads)) for name in answers]
        facts.append(facts_of(measured))
    publish("inference_decoder", rows, command="benchmarks.inference decoder", runs=facts)


def work(model: Path, path: Path) -> list[Item]:
    """Return COMPARED prompts of each length, cut from the file's text one after the other."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    text = " ".join(path.read_text("utf-8")[:CHARACTERS].split())
    encoding = tokenizer.encode(text)
    found, place = [], 0
    for length in PROMPTS:
        for _ in range(COMPARED):
            prompt = text[encoding.offsets[place][0] : encoding.offsets[place + length - 1][1]]
            continuation = encoding.ids[place + length : place + length + WRITTEN]
            # A piece of text may be cut into other tokens than it was in its place.
            ids = tokenizer.encode(prompt).ids
            found.append(Item(text=prompt, ids=tuple(ids), continuation=tuple(continuation)))
            place += length + WRITTEN
    return found


def _row(
    measured: Measured, answers: Mapping[str, list[list[int]]], name: str, workloads: list[str]
) -> Row:
    agreement = f"{same(answers[name], answers[REFERENCE]):.2%}"
    cells = {
        f"{workload}, ms a token": cell(measured.kept, name, workload, per=WRITTEN)
        for workload in workloads
    }
    return {"threads": measured.setting.threads, "what": name, "same token": agreement, **cells}
