"""Constants stay in the file of a graph until they are read, and code that reads no files is given them in memory."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from build.graph.edit import constants, make_model
from build.graph.file import external_data_of, load, save, save_apart
from build.graph.tensors import array_of, in_memory, is_stored, read_into_memory

RANDOM = np.random.default_rng(3)
TABLE = RANDOM.standard_normal((40, 32)).astype(np.float32)
ARRAYS: dict[str, NDArray[Any]] = {
    "table": TABLE,
    "half": TABLE.astype(np.float16),
    "ids": np.arange(300, dtype=np.int64),
    "number": np.array(0.5, np.float32),
    "nothing": np.zeros((0, 4), np.float32),
}


def graph_of(*tensors: Any) -> Any:
    ids = helper.make_tensor_value_info("x", TensorProto.INT64, [None])
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, None)
    node = helper.make_node("Gather", ["table", "x"], ["rows"])
    return make_model(
        helper.make_graph([node], "g", [ids], [rows], tensors, doc_string="behind the constants"),
        producer_name="a name",
        doc_string="fused",
    )


@pytest.fixture
def model() -> Any:
    return graph_of(*(numpy_helper.from_array(array, name) for name, array in ARRAYS.items()))


def test_what_lies_in_a_file_is_read_as_it_was(model: Any, tmp_path: Path) -> None:
    save_apart(model, tmp_path / "apart.onnx")
    found = constants(load(tmp_path / "apart.onnx").graph)
    assert [name for name, tensor in found.items() if is_stored(tensor)] == ["table", "half", "ids"]
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(array_of(found[name]), array)
        assert array_of(found[name]).dtype == array.dtype
        assert array_of(found[name]).shape == array.shape
        assert in_memory(found[name]) == constants(model.graph)[name]
    assert not array_of(found["table"]).flags.writeable


def test_a_graph_is_read_into_memory_in_place(model: Any, tmp_path: Path) -> None:
    save_apart(model, tmp_path / "apart.onnx")
    read = load(tmp_path / "apart.onnx")
    read_into_memory(read.graph.initializer)
    external_data_of(tmp_path / "apart.onnx").unlink()
    assert read == model


@pytest.mark.parametrize("apart", [False, True])
def test_one_file_has_the_bytes_that_protobuf_would_write(
    model: Any, tmp_path: Path, apart: bool
) -> None:
    given = model
    if apart:
        save_apart(model, tmp_path / "apart.onnx")
        given = load(tmp_path / "apart.onnx")
    save(given, tmp_path / "one.onnx")
    assert (tmp_path / "one.onnx").read_bytes() == model.SerializeToString()
    assert not external_data_of(tmp_path / "one.onnx").exists()


def test_from_one_second_file_to_another(model: Any, tmp_path: Path) -> None:
    save_apart(model, tmp_path / "apart.onnx")
    save_apart(load(tmp_path / "apart.onnx"), tmp_path / "again.onnx")
    for suffix in ("", ".data"):
        one, other = (tmp_path / f"{name}.onnx{suffix}" for name in ("apart", "again"))
        assert one.read_bytes().replace(b"apart", b"again") == other.read_bytes()
    assert onnx.load(tmp_path / "again.onnx") == onnx.load(tmp_path / "apart.onnx")


def test_numbers_of_half_a_byte(tmp_path: Path) -> None:
    values = RANDOM.integers(-8, 8, 4096)
    narrow = helper.make_tensor("table", TensorProto.INT4, [64, 64], values)
    save_apart(graph_of(narrow), tmp_path / "apart.onnx")
    (found,) = load(tmp_path / "apart.onnx").graph.initializer
    assert is_stored(found)
    np.testing.assert_array_equal(array_of(found).astype(np.int64).ravel(), values)


def test_constants_of_no_length_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "nothing"
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[0, 2])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": path, "length": 0}.items():
        tensor.external_data.add(key=key, value=str(value))
    assert array_of(tensor).shape == (0, 2)
