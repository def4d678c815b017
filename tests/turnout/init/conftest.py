"""Tiny real models that several tests add to a models.toml."""

from pathlib import Path

import pytest

from tests.fixtures.models.tiny_bert import classifier, headed


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a classifier's folder, with a pickle that is no part of it."""
    folder = classifier(tmp_path_factory.mktemp("init") / "bert")
    (folder / "training_args.bin").write_bytes(b"\x80\x04 a pickle")
    return folder


@pytest.fixture(scope="session")
def inference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a classifier that two tasks fit: its labels are those of natural language inference."""
    labels = ("contradiction", "neutral", "entailment")
    place = tmp_path_factory.mktemp("init") / "nli"
    return headed(place, "BertForSequenceClassification", labels=labels)


@pytest.fixture(scope="session")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model that fills masks."""
    return headed(tmp_path_factory.mktemp("init") / "masked", "BertForMaskedLM")
