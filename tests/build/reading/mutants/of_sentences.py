"""Folders of sentence-transformers, an embedder or a cross-encoder, in which a setting of its files counts."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from build.sources.huggingface.folder_files import SENTENCE_CONFIGS
from build.sources.huggingface.pooling_config import MODES
from build.sources.huggingface.settings.table import (
    DENSE,
    LOGIT_SCORE,
    MODULES,
    POOLING,
    WHOLE_MODEL,
)
from build.workspace.quiet import quiet
from contracts.tasks import Task
from tests.build.reading.decoders.models import TEXTS as PASSAGES
from tests.build.reading.decoders.models import ranked, reranker
from tests.build.reading.mutants.case import Case, edit, settled
from tests.fixtures.models.tiny_bert import CPU, encoder, headed, texts

ROWS = [{"text": text.capitalize()} for text in texts(12)]
RANKED = [{"query": "great film", "texts": texts(6)}]
IDENTITY = "torch.nn.modules.linear.Identity"
OLDER = "sbert_ce_default_activation_function"
MEAN = "pooling_mode_mean_tokens"


def embedder(make: Callable[[Path], Path]) -> Case:
    return Case(task=Task.FEATURE_EXTRACTION, make=make, rows=ROWS)


def ranker(make: Callable[[Path], Path]) -> Case:
    return Case(task=Task.TEXT_RANKING, make=make, rows=RANKED)


def cross_encoder(folder: Path) -> Path:
    """Write a cross-encoder as releases of sentence-transformers before version 5 saved it."""
    return headed(folder, "BertForSequenceClassification", labels=("relevance",))


def saved_today(folder: Path) -> Path:
    from sentence_transformers import CrossEncoder

    older = cross_encoder(folder.with_name("older"))
    with quiet():
        CrossEncoder(str(older), device="cpu").save_pretrained(str(folder))
    return folder


def cased(folder: Path) -> Path:
    """Write an embedder whose tokenizer tells capitals apart."""
    encoder(folder)
    edit(folder / "tokenizer_config.json", do_lower_case=False)
    return folder


def with_layer(folder: Path) -> Path:
    """Write an embedder with a layer over the vector, whose activation is not that of every other one."""
    from safetensors.numpy import save_file

    encoder(folder)
    modules = json.loads((folder / MODULES).read_text("utf-8"))
    kind = "sentence_transformers.models.Dense"
    modules.insert(2, {"idx": 2, "name": "dense", "path": "2_Dense", "type": kind})
    (folder / MODULES).write_text(json.dumps(modules), "utf-8")
    drawn = np.random.default_rng(7)
    weights = {"linear.weight": drawn.normal(size=(5, 32)), "linear.bias": drawn.normal(size=5)}
    config = {"in_features": 32, "out_features": 5, "bias": True}
    edit(folder / DENSE, **config, activation_function="torch.nn.modules.activation.ReLU")
    save_file(
        {name: array.astype(np.float32) for name, array in weights.items()},
        folder / "2_Dense/model.safetensors",
    )
    return folder


def pooled(key: str) -> Case:
    """Return an embedder whose tokens become several vectors, one of them by that key."""
    flags = {MEAN: True, "pooling_mode_cls_token": key in (MEAN, "pooling_mode_cls_token")}
    return embedder(settled(encoder, POOLING, **{**flags, key: True}))


# A causal model that ranks by the probability of its yes, behind a template.
CAUSAL = Case(
    task=Task.TEXT_RANKING,
    # Not the tokens that are taken where the file names none.
    make=partial(reranker, tokens={"true_token_id": 40, "false_token_id": 41}),
    rows=ranked(PASSAGES)[:3],
    table={"cpu": replace(CPU, max_tokens=None)},
)
CASES: Mapping[str, Mapping[str, Case]] = {
    "config.json": {
        OLDER: ranker(settled(cross_encoder, "config.json", **{OLDER: IDENTITY})),
        "sentence_transformers": ranker(
            settled(cross_encoder, "config.json", sentence_transformers={"activation_fn": IDENTITY})
        ),
    },
    SENTENCE_CONFIGS[0]: {
        "max_seq_length": embedder(settled(encoder, SENTENCE_CONFIGS[0], max_seq_length=4)),
        "do_lower_case": embedder(
            settled(cased, SENTENCE_CONFIGS[0], max_seq_length=12, do_lower_case=True)
        ),
        "transformer_task": CAUSAL,
        "modality_config": CAUSAL,
        "processing_kwargs": CAUSAL,
    },
    LOGIT_SCORE: {"true_token_id": CAUSAL, "false_token_id": CAUSAL},
    MODULES: {
        key: embedder(settled(encoder, POOLING, pooling_mode="cls")) for key in ("type", "path")
    },
    POOLING: {
        "pooling_mode": embedder(settled(encoder, POOLING, pooling_mode="cls")),
        **{key: pooled(key) for key in MODES},
    },
    DENSE: {"activation_function": embedder(with_layer)},
    WHOLE_MODEL: {
        key: embedder(
            settled(
                encoder,
                WHOLE_MODEL,
                prompts={"query": "good film "},
                default_prompt_name="query",
            )
        )
        for key in ("prompts", "default_prompt_name")
    }
    | {"activation_fn": ranker(settled(saved_today, WHOLE_MODEL, activation_fn=IDENTITY))},
}
