"""The training of the examples: layers that stay as they were pass each row once, and change nothing of the answers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from examples.rows import Row
from examples.weights import MPNET
from tests.fixtures.models.tiny_bert import LABELS, WORDS
from tests.fixtures.models.tiny_zoo import ZOO, classifier_of

pytestmark = pytest.mark.build
TEXTS = (WORDS[0], " ".join(WORDS[:5]), " ".join(WORDS[3:6]), " ".join(WORDS[1:3]))
ROWS = [Row(text=text, label=LABELS[i % len(LABELS)]) for i, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny MPNet of two layers with a head of as many labels as the rows have."""
    (mpnet,) = (architecture for architecture in ZOO if architecture.name == "MPNet")
    return classifier_of(tmp_path_factory.mktemp("mpnet") / "model", mpnet)


def opened(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def training_of(folder: Path) -> Any:
    from examples.train import TRAININGS

    weights = replace(MPNET, target=folder)
    return replace(
        TRAININGS["mpnet"], weights=weights, frozen_layers=1, in_bfloat16=False, epochs=2
    )


def test_upper_layers_answer_by_cached_states_like_the_whole_model(folder: Path) -> None:
    import torch
    from torch.nn.utils.rnn import pad_sequence

    from examples.train import cached_states, encode, mean_states, upper_layers

    model, tokenizer = opened(folder)
    means, cached = cached_states(model, tokenizer, ROWS, training_of(folder))
    inputs = encode(ROWS, tokenizer)
    with torch.no_grad():
        whole = model(**inputs).logits
        with upper_layers(model, 1) as given:
            given.states = pad_sequence([cached[row.text] for row in ROWS], batch_first=True)
            upper = model(**inputs).logits
        again = model(**inputs).logits
    expected = mean_states(model, tokenizer, ROWS)
    assert torch.allclose(upper, whole, atol=1e-5)
    assert torch.equal(again, whole)
    for text in TEXTS:
        assert torch.allclose(means[text], expected[text], atol=1e-5)


def test_training_changes_the_upper_layers_and_the_head_alone(folder: Path) -> None:
    import torch

    from examples.train import train

    before = opened(folder)[0].state_dict()
    after = train(ROWS, LABELS, training_of(folder))[0].state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    frozen = {name for name in before if ".embeddings." in name or ".layer.0." in name}
    assert list(after) == list(before)
    assert frozen <= same
    assert {name for name in before if ".layer.1." in name or "classifier" in name} & same == set()
