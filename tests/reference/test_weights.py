"""A model is loaded from its files, every weight of it, or refused with what is missing or left over."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from build.errors import SourceError
from build.evaluation.rows import Row, request_of
from build.reading.library import library
from build.sources.source import TransformersSource
from contracts.tasks import Task
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import classifier, encoder
from tests.fixtures.problems import assert_problems


def without(folder: Path, start: str) -> Path:
    """Return the folder with no weights whose names begin so."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    kept = {name: weight for name, weight in weights.items() if not name.startswith(start)}
    assert len(kept) < len(weights)
    save_file(kept, path, metadata={"format": "pt"})
    return folder


def with_head(folder: Path) -> Path:
    """Return the folder with weights of another task's head."""
    path = folder / "model.safetensors"
    bias = np.zeros(40, np.float32)
    save_file({**load_file(path), "cls.predictions.bias": bias}, path, metadata={"format": "pt"})
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
    folder = spoil(classifier(tmp_path / "source"))
    source = read_as(TransformersSource, folder, Task.TEXT_CLASSIFICATION)
    with pytest.raises(SourceError) as caught:
        library().answers(source, [])
    assert_problems(caught.value.problems, ("weights_incomplete", folder, *texts))


def test_what_nothing_reads_may_be_missing_and_the_head_of_another_task_be_left(
    tmp_path: Path,
) -> None:
    kept = without(encoder(tmp_path / "pooled"), "pooler.")
    for folder in (kept, with_head(encoder(tmp_path / "headed"))):
        source = read_as(TransformersSource, folder, Task.FEATURE_EXTRACTION)
        ((answer,),), _ = library().answers(source, [Row(request=request_of("film"))])
        assert len(answer["embedding"]) == 32
