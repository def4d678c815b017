"""Gemm split into MatMul and Add: quantizers look for MatMul alone."""

from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from build.graph.edit import add_constant, constants, remove_unused_constants, replace_node


def split_products(graph: Any) -> None:
    """Replace each Gemm that only multiplies by a constant matrix and adds, in place."""
    weights = constants(graph)
    for node in [n for n in graph.node if n.op_type == "Gemm" and n.input[1] in weights]:
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if given.get("transA", 0) or given.get("alpha", 1.0) != 1 or given.get("beta", 1.0) != 1:
            continue
        # MatMul cannot transpose, so the constant is transposed once, here.
        matrix = numpy_helper.to_array(weights[node.input[1]])
        if given.get("transB", 0):
            matrix = np.ascontiguousarray(matrix.T)
        name, added = node.output[0], list(node.input[2:])
        made = f"{name}_product" if added else name
        weight = add_constant(graph, f"{name}_matrix", matrix)
        new = [helper.make_node("MatMul", [node.input[0], weight], [made])]
        if added:
            new.append(helper.make_node("Add", [made, *added], [name]))
        replace_node(graph, node, new)
    remove_unused_constants(graph)
