"""A model is loaded from its files, every weight of it, or refused with what is missing or left over."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from build.errors import SourceError
from build.families.transformers_model import load
from tests.fixtures.models.tiny_bert import classifier, encoder, headed
from tests.fixtures.problems import assert_problems


def without(folder: Path, start: str) -> Path:
    """Return the folder with no weights whose names begin so."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    kept = {name: weight for name, weight in weights.items() if not name.startswith(start)}
    assert len(kept) < len(weights)
    save_file(kept, path, metadata={"format": "pt"})
    return folder


def shallower(folder: Path) -> Path:
    """Return the folder with a config that speaks of one layer fewer."""
    path = folder / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config["num_hidden_layers"] -= 1
    path.write_text(json.dumps(config), "utf-8")
    return folder


@pytest.mark.parametrize(
    ("spoil", "texts"),
    [
        (
            lambda folder: without(folder, "bert.encoder.layer.1."),
            ("lack bert.encoder.layer.1.attention.output.LayerNorm.bias", " and 13 more", "`architectures`"),
        ),
        (lambda folder: without(folder, "classifier."), ("lack classifier.bias, classifier.weight,",)),
        (lambda folder: without(folder, "bert.pooler."), ("lack bert.pooler.dense.bias, bert",)),
        (shallower, ("have bert.encoder.layer.1.", " and 13 more", "config.json", "number of layers")),
    ],
    ids=["a layer", "the head", "the pooler", "a layer too many"],
)  # fmt: skip
def test_weights_that_are_missing_or_left_over_are_named(
    tmp_path: Path, spoil: Callable[[Path], Path], texts: tuple[str, ...]
) -> None:
    from transformers import AutoModelForSequenceClassification

    folder = spoil(classifier(tmp_path / "source"))
    with pytest.raises(SourceError) as caught:
        load(AutoModelForSequenceClassification, folder)
    assert_problems(caught.value.problems, ("weights_incomplete", folder, *texts))


def test_what_nothing_reads_may_be_missing_and_the_head_of_another_task_be_left(
    tmp_path: Path,
) -> None:
    from transformers import AutoModel

    for folder in (
        without(encoder(tmp_path / "encoder"), "pooler."),
        headed(tmp_path / "masked", "BertForMaskedLM"),
    ):
        model = load(AutoModel, folder, unused=("pooler.",))
        assert not model.training
        assert {str(weight.dtype) for weight in model.parameters()} == {"torch.float32"}
