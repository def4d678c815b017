"""Scores of cross-encoders by the activation that their files name, against sentence-transformers' CrossEncoder."""

import json
from pathlib import Path
from typing import Any

import pytest

from build.sources.source import TransformersSource
from contracts.manifest import Manifest
from contracts.tasks import Task, Tier
from functions.inference.tasks.head import Context
from functions.inference.tasks.text_ranking import postprocess
from tests.fixtures.models.sources import assert_refused, read_as
from tests.fixtures.models.tiny_bert import headed, texts
from tests.fixtures.schema_checks import assert_described

pytestmark = pytest.mark.build

RANK = Task.TEXT_RANKING
IDENTITY, TANH = "torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Tanh"
SIGMOID = "torch.nn.modules.activation.Sigmoid"
OWN, OLDER = "sentence_transformers", "sbert_ce_default_activation_function"


def changed(path: Path, **settings: Any) -> None:
    document = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**document, **settings}), "utf-8")


@pytest.mark.parametrize(
    ("config", "saved", "activation"),
    [
        ({}, {}, None),
        ({OWN: {"activation_fn": SIGMOID}}, {}, "Sigmoid"),
        ({OWN: {"activation_fn": IDENTITY, "version": "4.1.0"}}, {}, "Identity"),
        ({OLDER: IDENTITY}, {}, "Identity"),
        ({OWN: {"activation_fn": TANH}, OLDER: IDENTITY}, {}, "Tanh"),
        ({OWN: {"activation_fn": None}, OLDER: IDENTITY}, {}, None),
        ({OWN: {"version": "4.1.0"}, OLDER: IDENTITY}, {}, "Identity"),
        ({}, {"activation_fn": IDENTITY}, "Identity"),
        ({OWN: {"activation_fn": IDENTITY}}, {"activation_fn": TANH}, "Tanh"),
        ({OWN: {"activation_fn": IDENTITY}}, {"activation_fn": None}, "Identity"),
    ],
)
def test_scores_are_those_of_cross_encoder(
    tmp_path: Path, config: dict[str, Any], saved: dict[str, Any], activation: str | None
) -> None:
    import torch
    from sentence_transformers import CrossEncoder

    folder = headed(tmp_path / "source", "BertForSequenceClassification", labels=("LABEL_0",))
    changed(folder / "config.json", **config)
    if saved:  # as sentence-transformers 6 saves it, with modules
        CrossEncoder(str(folder), device="cpu").save_pretrained(str(tmp_path / "saved"))
        folder = tmp_path / "saved"
        changed(folder / "config_sentence_transformers.json", **saved)
    source = read_as(TransformersSource, folder, RANK)
    assert source.details.get("activation") == activation
    theirs = CrossEncoder(str(folder), device="cpu")
    pairs = [("great film", text) for text in texts(8)]
    logits = theirs.predict(pairs, activation_fn=torch.nn.Identity())
    right = theirs.predict(pairs)
    for logit, score in zip(logits.tolist(), right.tolist(), strict=True):
        found = scored(source, logit)
        assert found["score"] == pytest.approx(score, abs=1e-6)
        assert scored(source, logit, raw_scores=True)["score"] == logit


def scored(source: TransformersSource, logit: float, **parameters: Any) -> dict[str, Any]:
    manifest = Manifest(
        model="m",
        task=RANK,
        tier=Tier.CPU,
        precision="fp32",
        recipe="r",
        max_tokens=32,
        labels=source.labels,
        details=source.details,
        toolchain={},
    )
    unread: Any = None  # the head of a cross-encoder reads no tokens
    context = Context(manifest=manifest, parameters=parameters, tokenizer=unread)
    output = postprocess("x", [], [[logit]], context)
    assert_described(RANK, [{**output, "rank": 1, "tokens": 3, "truncated": False}])
    return output


def test_an_activation_that_is_not_served_is_refused_by_its_name(tmp_path: Path) -> None:
    folder = headed(tmp_path / "source", "BertForSequenceClassification", labels=("a", "b"))
    changed(folder / "config.json", **{OWN: {"activation_fn": "torch.nn.modules.activation.ELU"}})
    assert_refused(
        folder,
        ("labels_mismatch", "2 labels"),
        ("architecture_unsupported", "torch.nn.modules.activation.ELU", "Identity", "`activation_fn`"),
        task=RANK,
    )  # fmt: skip
