"""Generators of text, causal or with an encoder: exported with a KV cache, their weights in 8 or 4 bits.

Candidates are compared with the reference by teacher forcing: both are run along the row's target, or along the
reference's greedy output if the row has none.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from build.export.generator import finish, kv_cache_fusion, prepare_causal, prepare_seq2seq
from build.families.family import Family, Rows
from build.reading.outputs import Reference, run_library
from build.recipes.generator import FULL, SMALLER
from build.recipes.recipe import GeneratorRecipe, WeightFormat
from build.recipes.weight_only import weight_only
from build.sources.gguf.source import folder_of, library_folder, unpack_source
from build.sources.huggingface.chat.template_files import folder_template
from build.sources.source import GgufSource, TransformersSource
from build.workspace.progress import Notify, silent
from contracts.manifest import CHAT, CHAT_TEMPLATE, TOKENIZER
from contracts.tasks import Tier
from functions.inference.beam_search import BEAMS
from functions.inference.marian.pieces import PIECES

CheckpointSource = TransformersSource | GgufSource


def prepare(
    export: Callable[..., None],
    source: CheckpointSource,
    folder: Path,
    notify: Notify,
) -> None:
    """Write the graphs that every candidate is made of; a GGUF file is unpacked to a Hugging Face folder first."""
    if isinstance(source, GgufSource):
        unpack_source(source, folder, notify)
    beams = BEAMS in source.details.get("generation_config", {})
    export(folder_of(source, folder), folder, source.max_tokens, beams=beams)


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
    tokenizer = _tokenizer_of(source, prepared)
    shutil.copyfile(tokenizer, folder / TOKENIZER)
    if (pieces := tokenizer.with_name(PIECES)).is_file():
        shutil.copyfile(pieces, folder / PIECES)
    if CHAT in source.details:
        program = folder_template(folder_of(source, prepared))
        (folder / CHAT_TEMPLATE).write_text(program, "utf-8")


def _tokenizer_of(source: CheckpointSource, prepared: Path) -> Path:
    """Return the tokenizer.json that is served."""
    # That of a GGUF file is made when the file is unpacked.
    own = source.tokenizer if isinstance(source, TransformersSource) else None
    return own or folder_of(source, prepared) / TOKENIZER


def reference(
    source: CheckpointSource, rows: Rows, prepared: Path, notify: Notify = silent
) -> Reference:
    """Return the texts that transformers generates, and what it predicts along each row's target (teacher forcing)."""
    given = library_folder(source, prepared)
    assert given
    return run_library(given, rows, notify)


CAUSAL = Family(
    prepare=partial(prepare, prepare_causal),
    reference=reference,
    recipes=recipes,
    make=make,
    unit="new token",
)
SEQ2SEQ = Family(
    prepare=partial(prepare, prepare_seq2seq),
    reference=reference,
    recipes=recipes,
    make=make,
    unit="new token",
)
