"""Bare graphs: their data, their tokenizer and their labels belong to them, or they are refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from build import api
from build.errors import SourceError
from build.sources.readers import inspect
from build.sources.source import GraphSource
from contracts.problems import Problem
from contracts.specs import SourceOptions
from contracts.tasks import Task
from tests.fixtures.models import tiny_bert
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bare import ROWS, bare, table
from tests.fixtures.models.tiny_bert import CPU, LABELS, deployment, write_rows
from tests.fixtures.models.tiny_recurrent import torchscript
from tests.fixtures.problems import assert_problems

pytestmark = pytest.mark.build

CLASSES = Task.TEXT_CLASSIFICATION


def read(folder: Path, labels: tuple[str, ...] = LABELS) -> GraphSource:
    return read_as(GraphSource, folder, CLASSES, None, SourceOptions(labels=labels))


@pytest.mark.parametrize("data", ["weights", "model.onnx.data", "model.weight.0"])
def test_other_weights_are_another_source_whatever_their_file_is_called(
    tmp_path: Path, data: str
) -> None:
    folder = bare(tmp_path / "bare", data=data)
    before = read(folder).digest
    assert read(folder).digest == before
    content = bytearray((folder / data).read_bytes())
    content[0] ^= 1
    (folder / data).write_bytes(content)
    assert read(folder).digest != before


def test_a_file_is_the_same_source_whatever_else_lies_around_it(tmp_path: Path) -> None:
    folder = bare(tmp_path / "bare", data="weights")
    path = folder / "model.onnx"
    before = read(path).digest
    (folder / "models.out/tiny/cpu").mkdir(parents=True)
    for name in ("models.out/tiny/cpu/model.onnx", "other.onnx", "package.json"):
        (folder / name).write_text("{}", "utf-8")
    assert read(path).digest == before
    for name in ("tokenizer.json", "weights"):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(kept + b"\n")
        assert read(path).digest != before
        (folder / name).write_bytes(kept)
    assert read(path).digest == before
    (folder / "config.json").write_text('{"pad_token_id": 1}', "utf-8")
    assert read(path).digest != before


def assert_refused(folder: Path, code: str, *texts: str, labels: tuple[str, ...] = LABELS) -> None:
    """Check that the graph is refused with one problem that has this code and these texts."""
    source, problems = inspect(folder, CLASSES, None, SourceOptions(labels=labels))
    assert source is None
    assert_problems(problems, (code, folder, *texts))


@pytest.mark.parametrize("data", ["", "weights"])
def test_a_tokenizer_of_more_tokens_than_the_embedding_has_rows_is_refused_when_read(
    tmp_path: Path, data: str
) -> None:
    assert_refused(
        bare(tmp_path / "short", table(ROWS - 5), data=data),
        "tokenizer_mismatch",
        f"tokenizer.json makes ids up to {ROWS - 1}",
        f"{ROWS - 5} rows",
        "as `tokenizer`",
    )
    assert read(bare(tmp_path / "long", table(ROWS + 5), data=data))


def test_tables_that_are_not_looked_up_by_tokens_are_not_compared_with_them(tmp_path: Path) -> None:
    folder = bare(tmp_path / "bare", table(rows=2))
    model = onnx.load(folder / "model.onnx")
    cast, gather, *rest = model.graph.node
    zero = numpy_helper.from_array(np.array(0, np.int64), "zero")
    less = helper.make_node("Less", ["input_ids", "zero"], ["below"])
    cast.input[0] = "below"
    del model.graph.node[:]
    model.graph.node.extend([less, cast, gather, *rest])
    model.graph.initializer.append(zero)
    onnx.save(model, folder / "model.onnx")
    assert read(folder)
    cast.input[0] = "input_ids"
    model.graph.node[1].CopyFrom(cast)
    onnx.save(model, folder / "model.onnx")
    assert_refused(folder, "tokenizer_mismatch", "but the embedding has 2 rows")


@pytest.mark.parametrize(("part", "field"), [("node", "input"), ("initializer", "raw_data")])
def test_an_incomplete_node_or_constant_is_refused(tmp_path: Path, part: str, field: str) -> None:
    folder = bare(tmp_path / "bare")
    model = onnx.load(folder / "model.onnx")
    for entry in getattr(model.graph, part):
        entry.ClearField(field)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    assert_refused(folder, "file_damaged", "a node or constant", "export it again")


def network(path: Path, rows: int, width: int, *, pooled: bool = True) -> Path:
    """Return the same as TorchScript, which has neither the number of rows nor that of outputs."""
    import torch

    class Mean(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(rows, width)

        def forward(self, input_ids: Any) -> Any:
            found = self.table(input_ids)
            return found.mean(1) if pooled else found

    torch.manual_seed(3)
    return torchscript(path, Mean())


def refusal(source: Path, tmp_path: Path, labels: tuple[str, ...] = LABELS) -> Sequence[Problem]:
    """Return the problems that a build finds before it makes a candidate."""
    tiny_bert.write_tokenizer(tmp_path)
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in tiny_bert.texts(6)])
    options = SourceOptions(tokenizer=tmp_path / "tokenizer.json", labels=labels)
    wanted = deployment(
        source, rows, cpu=replace(CPU, max_tokens=16), gpu=None, source_options=options
    )
    with pytest.raises(SourceError) as caught:
        api.run(api.plan(wanted, tmp_path / "out"), tmp_path / "out")
    assert not (tmp_path / "out/tiny").exists()
    return caught.value.problems


def test_the_rows_of_an_exported_graph_are_checked_before_it_is_run(tmp_path: Path) -> None:
    path = network(tmp_path / "network.pt", ROWS - 5, len(LABELS))
    ids, rows = f"makes ids up to {ROWS - 1}", f"{ROWS - 5} rows"
    assert_problems(refusal(path, tmp_path), ("tokenizer_mismatch", path, ids, rows))


@pytest.mark.parametrize("labels", [LABELS[:2], (*LABELS, "more")])
def test_labels_that_are_too_few_or_too_many_are_refused(
    tmp_path: Path, labels: tuple[str, ...]
) -> None:
    wanted = ("answers 3 numbers", f"{len(labels)} labels", "`labels`")
    assert_refused(bare(tmp_path / "sized"), "labels_mismatch", *wanted, labels=labels)
    for number, path in enumerate(
        (
            bare(tmp_path / "unsized", has_width=False) / "model.onnx",
            network(tmp_path / "network.pt", ROWS, 3),
        )
    ):
        (tmp_path / str(number)).mkdir()
        found = refusal(path, tmp_path / str(number), labels)
        assert_problems(found, ("labels_mismatch", path, *wanted))


def test_an_answer_of_other_axes_than_the_task_has_is_refused(tmp_path: Path) -> None:
    path = network(tmp_path / "network.pt", ROWS, 3, pooled=False)
    found = refusal(path, tmp_path)
    needs = "text-classification needs 2 axes"
    assert_problems(found, ("outputs_unsupported", path, ", 3]", needs, "correct `task`"))


def test_one_output_may_stand_for_two_labels(tmp_path: Path) -> None:
    assert read(bare(tmp_path / "pair", table(width=1)), LABELS[:2])
    three = bare(tmp_path / "three", table(width=1))
    assert_refused(three, "labels_mismatch", "answers 1 number, but", "3 labels")
