"""A classifier in two parts is the same classifier, and only its upper part is trained."""

from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    MPNetConfig,
    MPNetForSequenceClassification,
)

from benchmarks.routing.training import UpperLayers

pytestmark = pytest.mark.build

SIZES: dict[str, Any] = {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "num_labels": 4,
}
MODELS = {
    "bert": lambda: BertForSequenceClassification(BertConfig(**SIZES)),
    "mpnet": lambda: MPNetForSequenceClassification(MPNetConfig(**SIZES)),
}
IDS = torch.tensor([[5, 9, 3, 7, 11], [4, 6, 8, 2, 3]])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_both_parts_together_are_the_model(name: str, frozen: int) -> None:
    torch.manual_seed(1)
    model = MODELS[name]().eval()
    part = UpperLayers(model, frozen)
    with torch.no_grad():
        found = part.logits(part.upper_states(part.lower_states(IDS)))
        torch.testing.assert_close(found, model(IDS).logits)


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_that_is_trained_lies_above_the_frozen_layers(name: str) -> None:
    model = MODELS[name]()
    part = UpperLayers(model, 2)
    part.logits(part.upper_states(part.lower_states(IDS))).sum().backward()
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert {n for n, value in model.named_parameters() if value.grad is not None} == trained
    assert all(".layer.2." in name or "pooler" in name or "classifier" in name for name in trained)
    assert len(part.encoder) + len(part.head) == len(trained)
