"""Embedders of Qwen3 and Gemma 3 answer as sentence-transformers does, alone and in batches."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.prediction import PredictRequest
from contracts.tasks import Task
from functions.inference.engine import Engine
from tests.build.reading.decoders.models import (
    END,
    NORMALIZE,
    PAD,
    TEXTS,
    change,
    dense,
    gemma3,
    pooled,
    qwen3,
    with_modules,
    write,
)
from tests.build.reading.read_source import Change, read
from tests.fixtures.models.sources import assert_refused
from tests.fixtures.models.tiny_bert import CPU

EMBED = Task.FEATURE_EXTRACTION
QUERY = "Instruct: Given a query, find passages.\nQuery:"
# More tokens than the models read.
LONG = " ".join(TEXTS)
ROWS = [
    *({"text": text} for text in (*TEXTS, LONG)),
    {"text": TEXTS[0], "prompt_name": "query"},
    {"text": TEXTS[0], "prompt_name": "document"},
]


def with_prompts(folder: Path) -> Path:
    prompts = {"query": QUERY, "document": ""}
    settings = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    write(folder / "config_sentence_transformers.json", settings)
    return folder


def qwen3_embedder(folder: Path, mode: str = "lasttoken", **config: Any) -> Path:
    """Save the files of Qwen3-Embedding: each text ends in a token that is also that of padding, on the left."""
    qwen3(folder, "Qwen3Model", around=f"$A {PAD}", **config)
    return with_prompts(with_modules(folder, pooled(mode), NORMALIZE))


def gemma3_embedder(folder: Path, **config: Any) -> Path:
    """Save the files of EmbeddingGemma: two layers over the mean, which is of tokens that see in both directions."""
    settings = {"use_bidirectional_attention": True, **config}
    gemma3(folder, "Gemma3TextModel", around=f"{PAD} $A {END}", **settings)
    layers = (dense(folder, 2, 64, 128), dense(folder, 3, 128, 64))
    return with_prompts(with_modules(folder, pooled("mean_tokens"), *layers, NORMALIZE))


def padded_on_the_right(folder: Path) -> Path:
    qwen3_embedder(folder)
    change(folder / "tokenizer_config.json", padding_side="right")
    return folder


MODELS: dict[str, Callable[[Path], Path]] = {
    "qwen3": qwen3_embedder,
    "qwen3 padded on the right": padded_on_the_right,
    "qwen3 by weighted mean": partial(qwen3_embedder, mode="weightedmean_tokens"),
    "qwen3 with windows": partial(
        qwen3_embedder, use_sliding_window=True, sliding_window=8, max_window_layers=1
    ),
    "qwen3 in both directions": partial(qwen3_embedder, mode="mean_tokens", is_causal=False),
    "gemma3": gemma3_embedder,
    "gemma3 in one direction": partial(gemma3_embedder, use_bidirectional_attention=False),
}


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("name", MODELS)
def test_texts_have_the_vectors_of_sentence_transformers(tmp_path: Path, name: str) -> None:
    found = read(tmp_path, MODELS[name], EMBED, ROWS, cpu=replace(CPU, max_tokens=None))
    result = found.check(tmp_path / "made", Change())
    assert (result.rows, found.step.source.max_tokens) == (len(ROWS), 48)
    assert result.libraries["sentence-transformers"].startswith("6.")
    details = found.step.source.details
    assert details["prompts"] == {"query": QUERY, "document": ""}
    vectors = np.array([outputs[0]["embedding"] for outputs in found.reference.outputs])
    np.testing.assert_array_equal(vectors[0], vectors[-1])  # the prompt of documents is empty
    alike = vectors[:-1] @ vectors[:-1].T - np.eye(len(ROWS) - 1)
    assert alike.max() < 0.9999
    # In one batch, texts of all lengths are padded; the library took them one by one.
    engine = Engine.load(tmp_path / "made/sealed")
    together = engine.predict(PredictRequest(inputs=(*TEXTS, LONG))).outputs
    found_together = np.array([output["embedding"] for output in together])
    np.testing.assert_allclose(found_together, vectors[: len(TEXTS) + 1], atol=1e-5)
    assert [output["truncated"] for output in together] == [*[False] * len(TEXTS), True]


@pytest.mark.parametrize(
    ("settings", "things"),
    [
        (
            {"modality_config": {"message": {"format": "flat"}}},
            ("`modality_config`", "chat template"),
        ),
        ({"processing_kwargs": {"text": {"max_length": 8}}}, ("`processing_kwargs`",)),
    ],
)
def test_an_embedder_of_messages_is_refused_by_its_setting(
    tmp_path: Path, settings: dict[str, Any], things: tuple[str, ...]
) -> None:
    folder = qwen3_embedder(tmp_path / "source", num_hidden_layers=1)
    write(folder / "sentence_bert_config.json", settings)
    assert_refused(folder, ("setting_unsupported", *things), task=EMBED)
