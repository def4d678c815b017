"""Weights that are NaN or Inf are refused by name before anything is made of them, whatever the rows would show."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import load_file, save_file

from build import api
from build.errors import SourceError
from build.families.registry import family_of
from build.graph.finite import check_finite
from build.sources.gguf.source import unpack
from build.sources.readers import inspect
from contracts.specs import SourceOptions
from contracts.tasks import Task
from tests.fixtures.models.tiny_bare import bare, table
from tests.fixtures.models.tiny_bert import CPU, LABELS, classifier, deployment, write_rows
from tests.fixtures.models.tiny_decoders import gpt2, llama, t5
from tests.fixtures.models.tiny_gguf import write_gguf
from tests.fixtures.models.tiny_recurrent import recurrent, tokenizer, torchscript
from tests.fixtures.problems import assert_problems

pytestmark = pytest.mark.build

NAN, INF = float("nan"), float("inf")
FLOATS = [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16]


def weights(kind: int, numbers: Any, *, raw: bool = True) -> Any:
    """Return the numbers as a constant of that type, as exporters store it, or one by one."""
    listed = helper.make_tensor("w", kind, numbers.shape, numbers.ravel())
    if not raw:
        return listed
    stored = {
        TensorProto.FLOAT: ("float_data", np.float32),
        TensorProto.DOUBLE: ("double_data", np.float64),
    }.get(kind, ("int32_data", np.uint16))
    data = np.array(getattr(listed, stored[0]), stored[1]).tobytes()
    return helper.make_tensor("w", kind, numbers.shape, data, raw=True)


def spoilt(value: float) -> Any:
    numbers = np.ones((3, 4), np.float32)
    numbers[-1, -1] = value
    return numbers


def graph(operator: str, constant: Any, *, through: str = "") -> Any:
    """Return a graph that reads the constant by that operator, behind another one or not."""
    name = "same" if through else "w"
    read = [name, "x"] if operator == "Gather" else ["x", name]
    nodes = [helper.make_node(operator, read, ["y"], name="reader")]
    if through:
        nodes.insert(0, helper.make_node(through, ["w"], [name]))
    return helper.make_graph(nodes, "g", [], [], [constant])


def assert_refused(graph: Any, *texts: str) -> None:
    """Check that the graph is refused for a constant that is not finite."""
    with pytest.raises(SourceError) as caught:
        check_finite(graph, Path("model.onnx"))
    assert_problems(caught.value.problems, ("weights_not_finite", "model.onnx", *texts))


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("kind", FLOATS)
def test_nan_is_found_in_floats_of_every_width(kind: int, raw: bool) -> None:
    check_finite(graph("Add", weights(kind, spoilt(-1), raw=raw)), Path("model.onnx"))
    spoilt_graph = graph("Add", weights(kind, spoilt(NAN), raw=raw))
    assert_refused(spoilt_graph, "w, which reader reads", "NaN", "save it again")


@pytest.mark.parametrize("through", ["", "Cast", "Transpose"])
@pytest.mark.parametrize("operator", ["MatMul", "Gather"])
@pytest.mark.parametrize("kind", FLOATS)
def test_infinity_is_found_where_it_is_multiplied_by_or_looked_up(
    kind: int, operator: str, through: str
) -> None:
    constant = weights(kind, spoilt(INF))
    assert_refused(graph(operator, constant, through=through), "w, which reader reads", "Inf")


def test_infinity_that_hides_something_is_left_alone() -> None:
    mask = np.triu(np.full((4, 4), -INF, np.float32), 1)
    for operator, numbers in (("Add", spoilt(-INF)), ("Gather", mask), ("Where", spoilt(INF)[0])):
        check_finite(graph(operator, weights(TensorProto.FLOAT, numbers)), Path("model.onnx"))


def test_constants_of_nodes_and_of_inner_graphs_are_checked_as_well() -> None:
    constant = weights(TensorProto.FLOAT, spoilt(NAN))
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["v"], value=constant)], "i", [], []
    )
    for node in (
        helper.make_node("Constant", [], ["v"], value=constant),
        helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner),
    ):
        assert_refused(helper.make_graph([node], "g", [], []), "v holds NaN")


def spoil(folder: Path, name: str) -> Path:
    """NaN in the last row of one of the folder's matrices."""
    found = {k: np.array(v) for k, v in load_file(folder / "model.safetensors").items()}
    found[name][-1] = NAN
    save_file(found, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_row_of_an_embedding_that_no_text_meets_is_found_and_nothing_is_built(
    tmp_path: Path,
) -> None:
    name = "bert.embeddings.word_embeddings.weight"
    folder = spoil(classifier(tmp_path / "bert"), name)
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": "the film"}, {"text": "a dull plot"}])
    with pytest.raises(SourceError) as caught:
        api.run(api.plan(deployment(folder, rows, cpu=CPU), tmp_path / "o"), tmp_path / "o")
    not_finite = ("weights_not_finite", folder, name, "Gather", "NaN")
    assert_problems(caught.value.problems, not_finite)
    assert not (tmp_path / "o/tiny").exists()


@pytest.mark.parametrize(
    ("make", "task", "name"),
    [
        (gpt2, Task.TEXT_GENERATION, "transformer.wte.weight"),
        (gpt2, Task.LANGUAGE_MODEL_SCORING, "transformer.wte.weight"),
        (t5, Task.TEXT2TEXT_GENERATION, "decoder.block.0.layer.1.EncDecAttention.k.weight"),
    ],
)
def test_generators_and_scorers_are_checked_before_they_are_changed(
    make: Callable[[Path], Path], task: Task, name: str, tmp_path: Path
) -> None:
    source, _ = inspect(spoil(make(tmp_path / "model"), name), task, None)
    assert source
    (tmp_path / "prepared").mkdir()
    with pytest.raises(SourceError) as caught:
        family_of(source).prepare(source, tmp_path / "prepared", lambda text: None)
    assert_problems(caught.value.problems, ("weights_not_finite", source.path, "NaN"))
    assert not list((tmp_path / "prepared").glob("*.onnx"))


def test_bare_graphs_are_checked_as_well(tmp_path: Path) -> None:
    import torch

    module = recurrent(state=False)
    with torch.no_grad():
        module.embedding.weight[-1] = NAN
    network = torchscript(tmp_path / "network.pt", module)
    rows = table().astype(np.float16)
    rows[-1] = INF
    options = SourceOptions(tokenizer=tokenizer(tmp_path / "tokens.json"), inputs=("input_ids",))
    graph = bare(tmp_path / "onnx", rows)
    for path, task, given, texts in (
        (network, Task.LANGUAGE_MODEL_SCORING, options, ("embedding.weight", "NaN")),
        (graph, Task.TEXT_CLASSIFICATION, SourceOptions(labels=LABELS), ("table", "Inf")),
    ):
        source, problems = inspect(path, task, 24, given)
        assert problems == []
        assert source
        (tmp_path / path.stem).mkdir(exist_ok=True)
        with pytest.raises(SourceError) as caught:
            family_of(source).prepare(source, tmp_path / path.stem / "p", lambda text: None)
        assert_problems(caught.value.problems, ("weights_not_finite", source.path, *texts))


def test_a_gguf_file_is_checked_when_it_is_unpacked(tmp_path: Path) -> None:
    folder = spoil(llama(tmp_path / "llama"), "model.norm.weight")
    path = write_gguf(folder, tmp_path / "m.gguf")
    with pytest.raises(SourceError) as caught:
        unpack(path, tmp_path / "unpacked")
    assert_problems(caught.value.problems, ("weights_not_finite", path, "model.norm.weight"))
