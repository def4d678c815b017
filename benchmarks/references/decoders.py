"""A GGUF file's candidates against transformers, token by token: `python -m benchmarks.references.decoders FILE WORK`.

The full-precision candidate has to generate the same text as transformers without sampling, on every prompt. Each
candidate is run with teacher forcing along a text, which gives its perplexity; its milliseconds are those of a new
token after a context of that length, on one thread, in processor time, since the machine is shared. WORK keeps the
graphs.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import Row, publish
from build.families.family import Family
from build.families.generators import CAUSAL
from build.sources.gguf.source import UNPACKED
from build.sources.readers import inspect
from build.sources.source import GgufSource, Source
from build.workspace.quiet import quiet
from contracts.tasks import Task, Tier
from functions.inference.decoder import Decoder
from functions.inference.generation import teacher_forced
from functions.inference.prompt.tokens import plain_tokenizer
from functions.inference.sampling import log_sum_exp

PROMPTS = (
    "Gravity is",
    "The capital of France is",
    "Once upon a time, in a small village by the sea,",
    "def fibonacci(n):\n",
    "The three laws of thermodynamics are",
    "To make a good cup of coffee, you need",
    "In 1969, the first humans",
    "Photosynthesis is the process by which",
    "The train from Berlin to Munich",
    "A list of healthy breakfast ideas:\n1.",
    "Dear Sir or Madam,\n\nI am writing to",
    "SELECT name FROM users WHERE",
    "Shakespeare wrote",
    "The water cycle begins when",
    "My favourite season is autumn because",
    "The Pythagorean theorem states that",
    "In computer science, a hash table",
    "The history of the Roman Empire",
    "Größe, naïve café, 東京 and 🚆 are",
    "Name three primary colours.",
)
NEW_TOKENS, WINDOW = 64, 256
CACHED, TIMED = (32, 256, 1024), 24


def candidates(family: Family[Any, Any], source: Source, work: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and folder of each candidate of a CPU tier; it is made if missing."""
    prepared = work / "prepared"
    if not (prepared / "model.onnx").exists():
        prepared.mkdir(parents=True, exist_ok=True)
        family.prepare(source, prepared, lambda text: None)
    for recipe in family.recipes(source, Tier.CPU, True):
        folder = work / recipe.name.replace(", ", "-").replace(" ", "-")
        if not (folder / "tokenizer.json").exists():
            folder.mkdir(exist_ok=True)
            family.make(recipe, source, prepared, (), folder)
        yield recipe.name, folder


def written_by_transformers(folder: Path, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    import torch
    from transformers import AutoModelForCausalLM

    with quiet(), torch.inference_mode():
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
        return [
            model.generate(
                torch.tensor([prompt]),
                # Without a mask, `generate` leaves out every token that equals the padding token.
                attention_mask=torch.ones((1, len(prompt)), dtype=torch.int64),
                do_sample=False,
                max_new_tokens=NEW_TOKENS,
            )[0].tolist()[len(prompt) :]
            for prompt in prompts
        ]


def likeliest(decoder: Decoder, ids: Sequence[int]) -> tuple[NDArray[np.int64], float]:
    """Return the likeliest token at each position of the text, run in windows token by token; and the perplexity."""
    tops, losses = [], []
    for start in range(0, len(ids), WINDOW):
        cache, window = decoder.empty_cache({}), ids[start : start + WINDOW]
        for place, token in enumerate(window):
            logits, cache = decoder.run([token], cache)
            tops.append(int(logits.argmax()))
            if place + 1 < len(window):
                losses.append(log_sum_exp(logits) - float(logits[window[place + 1]]))
    return np.array(tops), float(np.exp(np.mean(losses)))


def token_ms(decoder: Decoder, ids: Sequence[int], cached: int) -> float:
    """Return the processor time of a new token, the minimum of several: interference makes it longer, never shorter."""
    # The time depends on how many tokens are cached, and not on which.
    many = list(ids) * (cached // len(ids) + 1)
    _, cache = decoder.run(many[:cached], decoder.empty_cache({}))
    took = []
    for token in many[:TIMED]:
        start = time.process_time()
        _, cache = decoder.run([token], cache)
        took.append((time.process_time() - start) * 1e3)
    return round(min(took), 2)


def measured(folder: Path, ids: Sequence[int], first: Any) -> tuple[Row, Any]:
    decoder = Decoder.open(folder / "model.onnx", threads=1, device="cpu")
    tops, perplexity = likeliest(decoder, ids)
    row: Row = {
        "MB": round((folder / "model.onnx").stat().st_size / 1e6, 1),
        "same next token": round(float((tops == (tops if first is None else first)).mean()), 4),
        "perplexity": round(perplexity, 3),
        **{f"ms behind {cached}": token_ms(decoder, ids, cached) for cached in CACHED},
    }
    return row, tops if first is None else first


def main(file: Path, work: Path, text: Path, count: int) -> None:
    source, problems = inspect(file, Task.TEXT_GENERATION, None)
    if source is None:
        raise SystemExit("\n".join(map(str, problems)))
    made = list(candidates(CAUSAL, source, work))
    tokenizer = plain_tokenizer(made[0][1] / "tokenizer.json")
    prompts = [tokenizer.encode(prompt).ids for prompt in PROMPTS]
    # The family's first recipe is the one in full precision, so `made[0]` has to generate the same.
    theirs = written_by_transformers(work / "prepared" / UNPACKED, prompts)
    decoder = Decoder.open(made[0][1] / "model.onnx", threads=1, device="cpu")
    same = sum(
        teacher_forced(decoder, prompt, decoder.empty_cache({}), written)[0] == written
        for prompt, written in zip(prompts, theirs, strict=True)
    )
    print(f"{made[0][0]} writes as transformers does on {same} of {len(prompts)} prompts")
    ids, first, rows = tokenizer.encode(text.read_text("utf-8")).ids[:count], None, []
    for name, folder in made:
        figures, first = measured(folder, ids, first)
        rows.append({"recipe": name, **figures})
        print(rows[-1], flush=True)
    facts = {
        "stored": source.stored if isinstance(source, GgufSource) else "",
        "prompts": len(prompts),
        "written alike": same,
    }
    publish(
        "reference_decoders",
        rows,
        command="benchmarks.references.decoders",
        **facts,
        tokens=len(ids),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the GGUF file")
    parser.add_argument("work", type=Path, help="a folder for what is made")
    parser.add_argument("--text", type=Path, required=True, help="a text for teacher forcing")
    parser.add_argument("--tokens", type=int, default=4096)
    args = parser.parse_args()
    main(args.file, args.work, args.text, args.tokens)
