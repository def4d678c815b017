"""Models that write, causal or with an encoder: prepared with a cache, their weights in 8 or 4 bits."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.evaluation.teacher_forcing import ALONG, IDS, LOG_PROBABILITIES
from build.export.generator import finish, kv_cache_fusion, prepare_causal, prepare_seq2seq
from build.families.family import Family, Rows
from build.families.transformers_model import load
from build.recipes.generator import FULL, SMALLER
from build.recipes.recipe import GeneratorRecipe, WeightFormat
from build.recipes.weight_only import weight_only
from build.sources.gguf.source import UNPACKED, folder_of, unpack
from build.sources.source import GgufSource, TransformersSource
from build.workspace.progress import Notify, counted, silent
from build.workspace.quiet import quiet
from contracts.errors import ModelFailed
from contracts.tasks import Tier
from functions.inference.generation import TeacherForced, plain_tokenizer, truncate_prompt

CheckpointSource = TransformersSource | GgufSource
# Runs the reference on one row, given its model and tokenizer.
Run = Callable[[Any, Any, CheckpointSource, Row], Outputs]


def prepare(
    export: Callable[[Path, Path, int], None],
    source: CheckpointSource,
    folder: Path,
    notify: Notify,
) -> None:
    if isinstance(source, GgufSource):
        notify("dequantizing the weights")
        unpack(source.path, folder / UNPACKED)
        notify("exporting")
    export(folder_of(source, folder), folder, source.max_tokens)


def recipes(source: CheckpointSource, tier: Tier, quantize: bool) -> Sequence[GeneratorRecipe]:
    """On a CPU attention is computed in place, where it can be; CUDA has no such operator in full precision."""
    if tier is Tier.GPU:
        return (replace(FULL, fused_cache=False),)
    return (FULL, *SMALLER) if quantize else (FULL,)


def make(
    recipe: GeneratorRecipe, source: CheckpointSource, prepared: Path, rows: Rows, folder: Path
) -> None:
    fused = kv_cache_fusion(prepared) if recipe.fused_cache else None
    smaller = None
    if recipe.weights is not WeightFormat.FLOAT32:
        smaller = weight_only(recipe.weights, recipe.narrow)
    finish(prepared, folder, *(change for change in (fused, smaller) if change))
    shutil.copyfile(folder_of(source, prepared) / "tokenizer.json", folder / "tokenizer.json")


def reference(
    run: Run, source: CheckpointSource, rows: Rows, prepared: Path, notify: Notify = silent
) -> Sequence[Outputs]:
    """Return the greedy output of transformers, and its teacher-forced predictions along the target, or along that."""
    import transformers

    folder = folder_of(source, prepared)
    tokenizer = plain_tokenizer(folder / "tokenizer.json")
    model = load(getattr(transformers, source.task.transformers.auto_class), folder)
    with quiet():
        return [run(model, tokenizer, source, row) for row in counted(rows, notify)]


def _continued(model: Any, tokenizer: Any, source: CheckpointSource, row: Row) -> Outputs:
    request, target = row.request, row.answer
    facts, text = source.details, str(request.inputs[0])
    wanted = _ids(tokenizer, target) if target else []
    count = len(wanted) or request.parameters["max_new_tokens"]
    prompt, truncated = truncate_prompt(
        tokenizer.encode(text), facts["context"] - count, facts["start_token_id"]
    )
    written = _greedy(model, [prompt], request.parameters["max_new_tokens"], facts)[len(prompt) :]
    along = wanted or written
    led = _teacher_forced(model, [[*prompt, *along]], along)
    return [_output(tokenizer, written, along, led, len(prompt), truncated)]


def _translated(model: Any, tokenizer: Any, source: CheckpointSource, row: Row) -> Outputs:
    request, target = row.request, row.answer
    facts = source.details
    tokenizer.enable_truncation(facts["context"])
    encoding = tokenizer.encode(str(request.inputs[0]))
    start = facts["start_token_id"]
    prompt = encoding.ids or [start]
    wanted = tokenizer.encode(target).ids if target else []
    written = _greedy(model, [prompt], request.parameters["max_new_tokens"], facts)[1:]
    along = wanted or written
    led = _teacher_forced(model, [prompt], along, decoder_input_ids=[[start, *along]])
    truncated = bool(encoding.overflowing)
    return [_output(tokenizer, written, along, led, len(encoding.ids), truncated)]


def _ids(tokenizer: Any, text: str) -> list[int]:
    """A continuation's tokens, without what is put in front of a text."""
    found: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return found


def _output(
    tokenizer: Any,
    written: Sequence[int],
    along: Sequence[int],
    led: TeacherForced,
    tokens: int,
    truncated: bool,
) -> dict[str, Any]:
    return {
        "generated_text": tokenizer.decode(list(written), skip_special_tokens=True),
        ALONG: list(along),
        IDS: led[0],
        LOG_PROBABILITIES: led[1],
        "tokens": tokens,
        "truncated": truncated,
    }


def _greedy(model: Any, prompt: list[list[int]], count: int, facts: Mapping[str, Any]) -> list[int]:
    import torch

    with torch.inference_mode():
        tokens = torch.tensor(prompt)
        ids = model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=False,
            num_beams=1,
            max_new_tokens=count,
            eos_token_id=facts["eos_token_ids"] or None,
        )
    return [int(token) for token in ids[0].tolist()]


def _teacher_forced(
    model: Any, tokens: list[list[int]], along: Sequence[int], **more: Any
) -> TeacherForced:
    """The token found likeliest before each of `along`, which what is read ends with, and how likely that one is."""
    import torch

    with torch.inference_mode():
        others = {name: torch.tensor(value) for name, value in more.items()}
        logits = model(torch.tensor(tokens), **others).logits[0, -len(along) - 1 : -1]
    if not torch.isfinite(logits).all():
        raise ModelFailed("the model answered with numbers that are not finite")
    found = logits.log_softmax(-1).gather(-1, torch.tensor(along)[:, None])[:, 0]
    return logits.argmax(-1).tolist(), found.tolist()


CAUSAL = Family(
    prepare=partial(prepare, prepare_causal),
    reference=partial(reference, _continued),
    recipes=recipes,
    make=make,
    unit="new token",
)
SEQ2SEQ = Family(
    prepare=partial(prepare, prepare_seq2seq),
    reference=partial(reference, _translated),
    recipes=recipes,
    make=make,
    unit="new token",
)
