"""The table of word vectors as an ONNX graph that answers vectors, and searches for the nearest words where asked to.

The table lies once in a file beside the graph, which ONNX Runtime maps into memory: rows are read where they are
needed, so loading costs next to nothing. What searches among the words alone names the first part of the same bytes.

In 8 bits, a search reads the packed bytes by MatMulNBits, which rounds the query as well; the best few of it are then
compared in full precision with the rows as they are answered, so that scores are the cosines of what is served.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from build.recipes.block_int8 import INT8_ACTIVATIONS, quantize_blocks
from build.sources.vectors.table import Floats
from functions.inference.words import MODEL, OVERFETCH, TABLE

OPSET, IR_VERSION = 18, 10
# Where a tensor starts in the file, so that it can be mapped.
PAGE = 4096
# Rows that are packed at once.
ROWS = 1 << 14
BLOCKS = (64, 32)


def write_graph(table: NDArray[np.float32], words: int, bits: int, folder: Path) -> None:
    """Write the graph and the file of a table whose first rows are those of words; `bits` are 8, or 0 for float32."""
    with (folder / TABLE).open("wb") as file:
        stored = _Stored(file=file)
        width = table.shape[1]
        nodes, search = (_packed if bits else _full)(table, words, stored)
    graph = helper.make_graph(
        [*nodes, *_searching(search, stored)],
        "word vectors",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "m"]),
            helper.make_tensor_value_info("weights", TensorProto.FLOAT, ["n", "m"]),
            helper.make_tensor_value_info("queries", TensorProto.FLOAT, ["q", width]),
            helper.make_tensor_value_info("count", TensorProto.INT64, [1]),
        ],
        [
            helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", width]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["q", "k"]),
            helper.make_tensor_value_info("nearest", TensorProto.INT64, ["q", "k"]),
        ],
        stored.tensors,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), folder / MODEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """The constants of a graph, the large ones of them in a file."""

    file: BinaryIO
    tensors: list[Any] = field(default_factory=list)

    def small(self, **arrays: Any) -> None:
        for name, array in arrays.items():
            self.tensors.append(numpy_helper.from_array(np.asarray(array), name))

    def begin(self) -> int:
        """The place of what is written next."""
        self.file.write(b"\0" * (-self.file.tell() % PAGE))
        return self.file.tell()

    def large(self, name: str, kind: int, shape: Sequence[int], place: int) -> None:
        """What lies at that place, under a name; others may name the same bytes."""
        size = np.dtype(helper.tensor_dtype_to_np_dtype(kind)).itemsize
        facts = {"location": TABLE, "offset": place, "length": int(np.prod(shape)) * size}
        entries = [
            onnx.StringStringEntryProto(key=key, value=str(value)) for key, value in facts.items()
        ]
        self.tensors.append(
            TensorProto(
                name=name,
                data_type=kind,
                dims=shape,
                data_location=TensorProto.EXTERNAL,
                external_data=entries,
            )
        )


Nodes = list[Any]


def _full(table: Floats, words: int, stored: _Stored) -> tuple[Nodes, Nodes]:
    """Rows as they are: nodes that read, and nodes that search."""
    place = stored.begin()
    inverse = np.empty(len(table), np.float32)
    for start, rows in parts(table):
        stored.file.write(rows.tobytes())
        inverse[start : start + len(rows)] = inverse_norms(rows)
    width = table.shape[1]
    stored.large("table", TensorProto.FLOAT, table.shape, place)
    stored.large("searched", TensorProto.FLOAT, (words, width), place)
    _store(stored, "inverse_norms", inverse[:words, None])
    # The table stands first in the product: what stands second is copied when a session is opened.
    return [_node("Gather", "table ids", "rows"), *_summed("rows", width, width, stored)], [
        _node("Transpose", "queries", "turned", perm=[1, 0]),
        _node("MatMul", "searched turned", "products"),
        _node("Mul", "products inverse_norms", "cosines"),
        _node("Transpose", "cosines", "by_query", perm=[1, 0]),
        _node("TopK", "by_query count", "best_scores best"),
    ]


def _packed(table: Floats, words: int, stored: _Stored) -> tuple[Nodes, Nodes]:
    """Rows in 8 bits, in blocks with a scale each: nodes that read, and nodes that search."""
    rows, width = table.shape
    block = min(BLOCKS, key=lambda size: -(-width // size) * size)
    blocks = -(-width // block)
    scales = np.empty((rows, blocks), np.float32)
    inverse = np.empty(rows, np.float32)
    place = stored.begin()
    for start, part in parts(table):
        here = slice(start, start + len(part))
        whole = np.zeros((len(part), blocks * block), np.float32)
        whole[:, :width] = part
        packed, scales[here] = quantize_blocks(whole.reshape(len(part), blocks, block))
        stored.file.write(packed.tobytes())
        unpacked = (packed.astype(np.float32) - 128) * scales[here][:, :, None]
        inverse[here] = inverse_norms(unpacked.reshape(len(part), -1))
    stored.large("table", TensorProto.UINT8, (rows, blocks, block), place)
    stored.large("searched", TensorProto.UINT8, (words, blocks, block), place)
    place = stored.begin()
    stored.file.write(scales.tobytes())
    stored.large("scales", TensorProto.FLOAT, (rows, blocks, 1), place)
    stored.large("searched_scales", TensorProto.FLOAT, (words, blocks), place)
    _store(stored, "inverse_norms", inverse[:words])
    padded = blocks * block
    stored.small(wider=[OVERFETCH], most=[words], shape=[0, 0, padded], one=[1], two=[2])
    read = [
        _gathered("table ids scales", "blocks", block),
        _node("Reshape", "blocks shape", "rows"),
        *_summed("rows", padded, width, stored),
    ]
    return read, _search_packed(words, width, block)


def _search_packed(words: int, width: int, block: int) -> Nodes:
    products = _node("MatMulNBits", "queries searched searched_scales", "products")
    products.domain = "com.microsoft"
    facts = {"K": width, "N": words, "bits": 8, "block_size": block}
    for name, value in {**facts, "accuracy_level": INT8_ACTIVATIONS}.items():
        products.attribute.append(helper.make_attribute(name, value))
    return [
        products,
        _node("Mul", "products inverse_norms", "nearly"),
        _node("Mul", "count wider", "many"),
        _node("Min", "many most", "candidates"),
        _node("TopK", "nearly candidates", "nearly_best likely"),
        _gathered("table likely scales", "likely_blocks", block),
        _node("Reshape", "likely_blocks shape", "likely_padded"),
        _node("Slice", "likely_padded first last two", "likely_rows"),
        _node("Unsqueeze", "queries two", "upright"),
        _node("MatMul", "likely_rows upright", "likely_products"),
        _node("Squeeze", "likely_products two", "exactly"),
        _node("Gather", "inverse_norms likely", "likely_norms"),
        _node("Mul", "exactly likely_norms", "exact"),
        _node("TopK", "exact count", "best_scores places"),
        _node("GatherElements", "likely places", "best", axis=1),
    ]


def _summed(rows: str, padded: int, width: int, stored: _Stored) -> Nodes:
    """The weighted sum of each input's rows, and only what is no padding of it."""
    stored.small(side=[1], first=[0], last=[width])
    ends = [_node("Squeeze", "sums side", "vectors")]
    if padded > width:
        ends = [
            _node("Squeeze", "sums side", "padded"),
            _node("Slice", "padded first last side", "vectors"),
        ]
    return [
        _node("Unsqueeze", "weights side", "lying"),
        _node("MatMul", f"lying {rows}", "sums"),
        *ends,
    ]


def _searching(search: Nodes, stored: _Stored) -> Nodes:
    """The search where words are asked for, otherwise no scores of no words."""
    stored.small(nothing=[0], empty=np.zeros(2, np.int64))
    none = {
        kind: numpy_helper.from_array(np.zeros(1, dtype))
        for kind, dtype in (("scores", np.float32), ("nearest", np.int64))
    }
    branches: Mapping[str, tuple[Nodes, str, str]] = {
        "then_branch": (search, "best_scores", "best"),
        "else_branch": (
            [
                _node("ConstantOfShape", "empty", "no_scores", value=none["scores"]),
                _node("ConstantOfShape", "empty", "none", value=none["nearest"]),
            ],
            "no_scores",
            "none",
        ),
    }
    graphs = {
        branch: helper.make_graph(
            nodes,
            branch,
            [],
            [
                helper.make_tensor_value_info(scores, TensorProto.FLOAT, None),
                helper.make_tensor_value_info(nearest, TensorProto.INT64, None),
            ],
        )
        for branch, (nodes, scores, nearest) in branches.items()
    }
    return [
        _node("Greater", "count nothing", "wanted"),
        _node("If", "wanted", "scores nearest", **graphs),
    ]


def _gathered(inputs: str, output: str, block: int) -> Any:
    node = _node(
        "GatherBlockQuantized",
        inputs,
        output,
        bits=8,
        block_size=block,
        gather_axis=0,
        quantize_axis=2,
    )
    node.domain = "com.microsoft"
    return node


def _node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """A node; its inputs and outputs are names between spaces."""
    ends = outputs.split()
    return helper.make_node(operator, inputs.split(), ends, name=f"{ends[0]}_node", **attributes)


def _store(stored: _Stored, name: str, array: NDArray[np.float32]) -> None:
    place = stored.begin()
    stored.file.write(array.tobytes())
    stored.large(name, TensorProto.FLOAT, array.shape, place)


def parts(table: Floats) -> Iterator[tuple[int, Floats]]:
    return ((start, table[start : start + ROWS]) for start in range(0, len(table), ROWS))


def inverse_norms(rows: Floats) -> Floats:
    """One over each row's length; 0 for a row of zeros, whose cosine to any other is 0."""
    norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    found: Floats = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0).astype(
        np.float32
    )
    return found
