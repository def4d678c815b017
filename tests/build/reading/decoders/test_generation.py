"""Qwen3 and Gemma 3 generate as transformers does, in full precision and in every recipe."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build.evaluation.teacher_forcing import LOG_PROBABILITIES, answer
from build.families.registry import family_of
from build.proof.sealing import seal
from build.sources.source import TransformersSource
from contracts.tasks import Task
from functions.inference.engine import Engine
from tests.build.reading.decoders.models import CONTEXT, END, TEXTS, gemma3, qwen3
from tests.build.reading.read_source import Change, Read, read
from tests.fixtures.models.tiny_bert import CPU

ROWS = [{"text": text} for text in TEXTS]
TURNED = {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000.0}
YARN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "rope_theta": 100.0,
    "original_max_position_embeddings": 16,
}
# Windows of 8 tokens, where most of the texts and all that is generated are longer. Some graphs are fused.
MODELS: dict[str, tuple[Callable[[Path], Path], bool]] = {
    "qwen3": (partial(qwen3, tie_word_embeddings=True), True),
    "qwen3 with windows": (
        partial(qwen3, use_sliding_window=True, sliding_window=8, max_window_layers=1),
        False,
    ),
    "qwen3 turned by yarn": (partial(qwen3, rope_parameters=YARN, attention_bias=True), True),
    "gemma3": (partial(gemma3, around=f"{END} $A"), False),
    "gemma3 with softcap": (partial(gemma3, final_logit_softcapping=3.0), False),
    "gemma3 with other bases": (
        partial(
            gemma3,
            rope_parameters={
                "full_attention": TURNED,
                "sliding_attention": {"rope_type": "default", "rope_theta": 10.0},
            },
        ),
        False,
    ),
}


def read_model(place: Path, name: str) -> Read:
    made = MODELS[name][0]
    return read(place, made, Task.TEXT_GENERATION, ROWS, cpu=replace(CPU, max_tokens=CONTEXT))


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("name", MODELS)
def test_a_text_goes_on_as_in_transformers(tmp_path: Path, name: str) -> None:
    found = read_model(tmp_path, name)
    result = found.check(tmp_path, Change())
    assert (result.rows, result.near_ties) == (len(ROWS), 0)
    assert 0 < result.apart < 0.5
    # The reference's texts have words, so an answer that is cut at once would differ.
    texts = [outputs[0]["generated_text"] for outputs in found.reference.outputs]
    assert len(set(texts)) == len(texts)
    assert (tmp_path / "prepared/in-place.npz").exists() is MODELS[name][1]


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("name", ["qwen3", "gemma3 with softcap"])
def test_every_recipe_answers_nearly_as_full_precision(tmp_path: Path, name: str) -> None:
    found = read_model(tmp_path, name)
    source, rows = found.step.source, found.step.rows
    assert isinstance(source, TransformersSource)
    family, forced = family_of(source), list(range(4, 24))
    scores: dict[str, Any] = {}
    for number, recipe in enumerate(family.recipes(source, found.step.tier, True)):
        parts = tmp_path / f"parts{number}"
        parts.mkdir()
        family.make(recipe, source, tmp_path / "prepared", rows, parts)
        seal(tmp_path / f"sealed{number}", found.step, recipe, parts, found.reference.outputs)
        engine = Engine.load(tmp_path / f"sealed{number}")
        (output,) = answer(engine, rows[3].request, forced)
        scores[recipe.name] = np.array(output[LOG_PROBABILITIES])
    full = scores.pop("fp32")
    assert len(scores) == 5
    for recipe, each in scores.items():
        # Random weights bear rounding worse than those of a trained model.
        alike = np.corrcoef(each, full)[0, 1]
        assert (0.99 if "int8" in recipe else 0.85) < alike < 1, recipe
