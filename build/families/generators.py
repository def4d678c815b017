"""Generators of text, causal or with an encoder: exported with a KV cache, their weights in 8 or 4 bits.

Candidates are compared with the reference by teacher forcing: both are run along the row's target, or along the
reference's greedy output if the row has none.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from build.evaluation.metrics import AllOutputs, Outputs
from build.evaluation.rows import Row
from build.evaluation.teacher_forcing import FORCED_TOKENS, IDS, LOG_PROBABILITIES
from build.export.generator import finish, kv_cache_fusion, prepare_causal, prepare_seq2seq
from build.families.family import Family, Rows
from build.families.transformers_model import load
from build.recipes.generator import FULL, SMALLER
from build.recipes.recipe import GeneratorRecipe, WeightFormat
from build.recipes.weight_only import weight_only
from build.sources.gguf.source import folder_of, unpack_source
from build.sources.source import GgufSource, TransformersSource
from build.workspace.progress import Notify, counted, silent
from build.workspace.quiet import quiet
from contracts.http_errors import ModelFailed
from contracts.manifest import TOKENIZER
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
    """Write the graphs that every candidate is made of; a GGUF file is unpacked to a Hugging Face folder first."""
    if isinstance(source, GgufSource):
        unpack_source(source, folder, notify)
    export(folder_of(source, folder), folder, source.max_tokens)


def recipes(source: CheckpointSource, tier: Tier, quantize: bool) -> Sequence[GeneratorRecipe]:
    """Return the recipes to try: with attention fused with its cache on a CPU, which CUDA cannot do in float32."""
    if tier is Tier.GPU:
        return (replace(FULL, fused_cache=False),)
    return (FULL, *SMALLER) if quantize else (FULL,)


def make(
    recipe: GeneratorRecipe, source: CheckpointSource, prepared: Path, rows: Rows, folder: Path
) -> None:
    """Write the graphs of one candidate, and the tokenizer."""
    fused = kv_cache_fusion(prepared) if recipe.fused_cache else None
    smaller = None
    if recipe.weights is not WeightFormat.FLOAT32:
        smaller = weight_only(recipe.weights, recipe.sensitive_weights)
    finish(prepared, folder, *(change for change in (fused, smaller) if change))
    shutil.copyfile(_tokenizer_of(source, prepared), folder / TOKENIZER)


def _tokenizer_of(source: CheckpointSource, prepared: Path) -> Path:
    """Return the tokenizer.json that is served."""
    # That of a GGUF file is made when the file is unpacked.
    own = source.tokenizer if isinstance(source, TransformersSource) else None
    return own or folder_of(source, prepared) / TOKENIZER


def reference(
    run: Run, source: CheckpointSource, rows: Rows, prepared: Path, notify: Notify = silent
) -> AllOutputs:
    """Return the outputs of the model as transformers runs it: greedy, and teacher-forced along each row's target.

    Raise ModelFailed for logits that are not finite.
    """
    import transformers

    folder = folder_of(source, prepared)
    tokenizer = plain_tokenizer(_tokenizer_of(source, prepared))
    model = load(getattr(transformers, source.task.transformers.auto_class), folder)
    with quiet():
        return [run(model, tokenizer, source, row) for row in counted(rows, notify)]


def _run_causal(model: Any, tokenizer: Any, source: CheckpointSource, row: Row) -> Outputs:
    details, count = source.details, row.request.parameters["max_new_tokens"]
    # A continuation has no tokens in front, such as the one that begins a text.
    target = tokenizer.encode(row.answer, add_special_tokens=False).ids if row.answer else []
    prompt, truncated = truncate_prompt(
        tokenizer.encode(str(row.request.inputs[0])),
        details["context"] - (len(target) or count),
        details["start_token_id"],
    )
    generated = _generate(model, [prompt], count, details)[len(prompt) :]
    forced_tokens = target or generated
    predictions = _teacher_forced(model, [[*prompt, *forced_tokens]], forced_tokens)
    return [_output(tokenizer, generated, forced_tokens, predictions, len(prompt), truncated)]


def _run_seq2seq(model: Any, tokenizer: Any, source: CheckpointSource, row: Row) -> Outputs:
    details = source.details
    tokenizer.enable_truncation(details["context"])
    encoding = tokenizer.encode(str(row.request.inputs[0]))
    start = details["start_token_id"]
    text = encoding.ids or [start]
    target = tokenizer.encode(row.answer).ids if row.answer else []
    # The first token is the decoder's start token, which no candidate predicts.
    generated = _generate(model, [text], row.request.parameters["max_new_tokens"], details)[1:]
    forced_tokens = target or generated
    predictions = _teacher_forced(
        model, [text], forced_tokens, decoder_input_ids=[[start, *forced_tokens]]
    )
    truncated = bool(encoding.overflowing)
    return [_output(tokenizer, generated, forced_tokens, predictions, len(encoding.ids), truncated)]


def _output(
    tokenizer: Any,
    generated: Sequence[int],
    forced_tokens: Sequence[int],
    predictions: TeacherForced,
    tokens: int,
    truncated: bool,
) -> dict[str, Any]:
    ids, log_probabilities = predictions
    return {
        "generated_text": tokenizer.decode(list(generated), skip_special_tokens=True),
        FORCED_TOKENS: list(forced_tokens),
        IDS: ids,
        LOG_PROBABILITIES: log_probabilities,
        "tokens": tokens,
        "truncated": truncated,
    }


def _generate(
    model: Any, prompt: list[list[int]], count: int, details: Mapping[str, Any]
) -> list[int]:
    """Return the tokens of a greedy search, as `generate` does: those of a causal model begin with the prompt."""
    import torch

    with torch.inference_mode():
        tokens = torch.tensor(prompt)
        ids = model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            # A model's generation_config.json may have sampling or beams, which no candidate is run with.
            do_sample=False,
            num_beams=1,
            max_new_tokens=count,
            eos_token_id=details["eos_token_ids"] or None,
        )
    return [int(token) for token in ids[0].tolist()]


def _teacher_forced(
    model: Any, tokens: list[list[int]], forced_tokens: Sequence[int], **inputs: Any
) -> TeacherForced:
    """Return the likeliest token at each place of `forced_tokens`, and the log-probability of the given one.

    The model's last input, of `tokens` or of the decoder, ends with `forced_tokens`.
    """
    import torch

    with torch.inference_mode():
        others = {name: torch.tensor(value) for name, value in inputs.items()}
        # The logits at a place are those of the token after it.
        logits = model(torch.tensor(tokens), **others).logits[0, -len(forced_tokens) - 1 : -1]
    if not torch.isfinite(logits).all():
        raise ModelFailed("the model answered with numbers that are not finite")
    given = logits.log_softmax(-1).gather(-1, torch.tensor(forced_tokens)[:, None])[:, 0]
    return logits.argmax(-1).tolist(), given.tolist()


CAUSAL = Family(
    prepare=partial(prepare, prepare_causal),
    reference=partial(reference, _run_causal),
    recipes=recipes,
    make=make,
    unit="new token",
)
SEQ2SEQ = Family(
    prepare=partial(prepare, prepare_seq2seq),
    reference=partial(reference, _run_seq2seq),
    recipes=recipes,
    make=make,
    unit="new token",
)
