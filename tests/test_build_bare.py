"""Bare ONNX graphs: their data, their tokenizer and their labels belong to them, or they are refused."""

from pathlib import Path

import pytest

from build.source import Source, inspect
from contracts.specs import Hints
from contracts.tasks import Task
from tests.tiny_bare import bare
from tests.tiny_bert import LABELS

CLASSES = Task.TEXT_CLASSIFICATION


def read(folder: Path, labels: tuple[str, ...] = LABELS) -> Source:
    source, mistakes = inspect(folder, CLASSES, None, Hints(labels=labels))
    assert mistakes == []
    assert source
    return source


@pytest.mark.parametrize("data", ["weights", "model.onnx.data", "model.weight.0"])
def test_other_weights_are_another_source_whatever_their_file_is_called(
    tmp_path: Path, data: str
) -> None:
    folder = bare(tmp_path / "bare", data=data)
    before = read(folder).digest
    assert read(folder).digest == before
    whole = bytearray((folder / data).read_bytes())
    whole[0] ^= 1
    (folder / data).write_bytes(whole)
    assert read(folder).digest != before
