"""A bare ONNX graph, but tiny: the mean of its tokens' rows in a table is the answer, one number for each label."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests import tiny_bert
from tests.tiny_bert import LABELS

ROWS = len(tiny_bert.SPECIAL) + len(tiny_bert.WORDS)


def table(rows: int = ROWS, width: int = len(LABELS)) -> Any:
    return np.random.default_rng(3).normal(size=(rows, width)).astype(np.float32)


def bare(folder: Path, rows: Any = None, *, data: str = "", said: bool = True) -> Path:
    """The folder with its graph and tokenizer; `data` is where the table lies, `said` whether outputs have a width."""
    rows = table() if rows is None else rows
    folder.mkdir(parents=True)
    tiny_bert.write_tokenizer(folder)
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 32}), "utf-8")
    narrow = TensorProto.INT32
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["ids"], name="narrow", to=narrow),
        helper.make_node("Gather", ["table", "ids"], ["found"], name="words"),
        helper.make_node("Cast", ["found"], ["wide"], name="wide", to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["wide", "axis"], ["answer"], name="mean", keepdims=0),
    ]
    width = rows.shape[1] if said else "width"
    graph = helper.make_graph(
        nodes,
        "bare",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["batch", width])],
        [
            numpy_helper.from_array(rows, "table"),
            numpy_helper.from_array(np.array([1], np.int64), "axis"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    more: dict[str, Any] = {"save_as_external_data": True, "location": data, "size_threshold": 0}
    onnx.save(model, folder / "model.onnx", **(more if data else {}))
    return folder
