"""A table of word vectors as an ONNX graph that returns vectors and, if `count` is above 0, finds the nearest words.

The table is stored once, in a file beside the graph that ONNX Runtime maps into memory, so loading reads next to
nothing. A search covers the words alone, by a tensor that names the first part of the same bytes.

An 8-bit search multiplies the packed bytes by MatMulNBits, which rounds the query too. Its best candidates are then
compared in float32 with the rows as they are served, so that scores are the cosines of served vectors.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from build.graph.edit import make_model
from build.graph.file import PAGE, external_tensor
from build.recipes.block_int8 import INT8_ACTIVATIONS, quantize_blocks
from build.sources.vectors.table import Floats
from contracts.manifest import MODEL
from functions.inference.words.word_vectors import OVERFETCH, TABLE

# Rows that are converted at once.
ROWS = 1 << 14
# Block sizes to choose from: the larger has fewer scales, the smaller may need less padding.
BLOCKS = (64, 32)


def write_graph(table: NDArray[np.float32], words: int, bits: int, folder: Path) -> None:
    """Write the graph and the file of a table [rows, width] whose first rows are those of words.

    `bits` is 8, or 0 for float32.
    """
    with (folder / TABLE).open("wb") as file:
        constants = _Constants(file=file)
        width = table.shape[1]
        nodes, search = (_int8_nodes if bits else _float32_nodes)(table, words, constants)
    graph = helper.make_graph(
        [*nodes, *_optional_search(search, constants)],
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
        constants.tensors,
    )
    onnx.save(make_model(graph), folder / MODEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Constants:
    """Constants of a graph; large ones go to a file."""

    file: BinaryIO
    tensors: list[Any] = field(default_factory=list)

    def small(self, **arrays: Any) -> None:
        for name, array in arrays.items():
            self.tensors.append(numpy_helper.from_array(np.asarray(array), name))

    def align(self) -> int:
        """Fill the file up to a page, and return the place of what is written next."""
        self.file.write(b"\0" * (-self.file.tell() % PAGE))
        return self.file.tell()

    def external(self, name: str, kind: int, shape: Sequence[int], place: int) -> None:
        """Add a tensor whose bytes are at that place; several may share bytes."""
        size = np.dtype(helper.tensor_dtype_to_np_dtype(kind)).itemsize
        length = int(np.prod(shape)) * size
        self.tensors.append(external_tensor(name, kind, shape, TABLE, place, length))

    def write(self, name: str, array: Floats) -> None:
        """Write an array to the file and add its tensor."""
        place = self.align()
        self.file.write(array.tobytes())
        self.external(name, TensorProto.FLOAT, array.shape, place)


Nodes = list[Any]


def _float32_nodes(table: Floats, words: int, constants: _Constants) -> tuple[Nodes, Nodes]:
    """Store rows in float32; return the nodes that read them and those that search them."""
    place = constants.align()
    inverse = np.empty(len(table), np.float32)
    for start, rows in row_chunks(table):
        constants.file.write(rows.tobytes())
        inverse[start : start + len(rows)] = inverse_norms(rows)
    width = table.shape[1]
    constants.external("table", TensorProto.FLOAT, table.shape, place)
    # The rows of words alone, in the same bytes: buckets of n-grams are no words to be found.
    constants.external("searched", TensorProto.FLOAT, (words, width), place)
    constants.write("inverse_norms", inverse[:words, None])
    # The table is the first operand: ONNX Runtime copies a constant second one when a session is opened.
    return [
        _node("Gather", "table ids", "rows"),
        *_weighted_sum("rows", width, width, constants),
    ], [
        _node("Transpose", "queries", "turned", perm=[1, 0]),
        _node("MatMul", "searched turned", "products"),
        _node("Mul", "products inverse_norms", "cosines"),
        _node("Transpose", "cosines", "by_query", perm=[1, 0]),
        _node("TopK", "by_query count", "best_scores best"),
    ]


def _int8_nodes(table: Floats, words: int, constants: _Constants) -> tuple[Nodes, Nodes]:
    """Store rows in 8 bits, in blocks with a scale each; return the nodes that read them and those that search them."""
    rows, width = table.shape
    block = min(BLOCKS, key=lambda size: -(-width // size) * size)
    blocks = -(-width // block)
    scales = np.empty((rows, blocks), np.float32)
    inverse = np.empty(rows, np.float32)
    place = constants.align()
    for start, part in row_chunks(table):
        here = slice(start, start + len(part))
        padded = np.zeros((len(part), blocks * block), np.float32)
        padded[:, :width] = part
        packed, scales[here] = quantize_blocks(padded.reshape(len(part), blocks, block))
        constants.file.write(packed.tobytes())
        # Norms of the rows as they are served, not of those that were given.
        unpacked = (packed.astype(np.float32) - 128) * scales[here][:, :, None]
        inverse[here] = inverse_norms(unpacked.reshape(len(part), -1))
    constants.external("table", TensorProto.UINT8, (rows, blocks, block), place)
    constants.external("searched", TensorProto.UINT8, (words, blocks, block), place)
    place = constants.align()
    constants.file.write(scales.tobytes())
    constants.external("scales", TensorProto.FLOAT, (rows, blocks, 1), place)
    constants.external("searched_scales", TensorProto.FLOAT, (words, blocks), place)
    constants.write("inverse_norms", inverse[:words])
    row = blocks * block
    constants.small(wider=[OVERFETCH], most=[words], shape=[0, 0, row], one=[1], two=[2])
    read = [
        _gather_dequantized("table ids scales", "blocks", block),
        _node("Reshape", "blocks shape", "rows"),
        *_weighted_sum("rows", row, width, constants),
    ]
    return read, _int8_search(words, width, block)


def _int8_search(words: int, width: int, block: int) -> Nodes:
    products = _node("MatMulNBits", "queries searched searched_scales", "products")
    products.domain = "com.microsoft"
    attributes = {"K": width, "N": words, "bits": 8, "block_size": block}
    for name, value in {**attributes, "accuracy_level": INT8_ACTIVATIONS}.items():
        products.attribute.append(helper.make_attribute(name, value))
    return [
        products,
        _node("Mul", "products inverse_norms", "nearly"),
        # The rounded query may misplace words, so more candidates are taken than are returned.
        _node("Mul", "count wider", "many"),
        _node("Min", "many most", "candidates"),
        _node("TopK", "nearly candidates", "nearly_best likely"),
        _gather_dequantized("table likely scales", "likely_blocks", block),
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


def _weighted_sum(rows: str, padded: int, width: int, constants: _Constants) -> Nodes:
    """Return nodes for the weighted sum of each input's rows, without their padding."""
    constants.small(side=[1], first=[0], last=[width])
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


def _optional_search(search: Nodes, constants: _Constants) -> Nodes:
    """Return nodes that search if `count` is above 0, and else give no scores of no words."""
    constants.small(nothing=[0], empty=np.zeros(2, np.int64))
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
    # ONNX Runtime runs one branch only, so vectors alone do not pay for a search.
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


def _gather_dequantized(inputs: str, output: str, block: int) -> Any:
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
    """Return a node; its inputs and outputs are names, separated by spaces."""
    names = outputs.split()
    return helper.make_node(operator, inputs.split(), names, name=f"{names[0]}_node", **attributes)


def row_chunks(table: Floats) -> Iterator[tuple[int, Floats]]:
    """Return parts of a table, each with the place of its first row; the table may be larger than memory."""
    return ((start, table[start : start + ROWS]) for start in range(0, len(table), ROWS))


def inverse_norms(rows: Floats) -> Floats:
    """Return one over each row's length; 0 for a row of zeros, whose cosine with any other is 0."""
    norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    inverse: Floats = np.zeros(len(norms), np.float32)
    np.divide(1, norms, out=inverse, where=norms > 0, casting="same_kind")
    return inverse
