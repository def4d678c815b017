"""The products of a quantized graph as single operators of ONNX Runtime's, which sessions here do not make themselves.

`quantize_dynamic` leaves a product as four nodes: the input's integers, their product with the weights', a cast, and a
multiplication by both scales. DynamicQuantizeMatMul and MatMulIntegerToFloat (contrib operators) are all of it at once.
"""

from typing import Any

from onnx import helper

from build.graph.edit import constants, replace_node


def join(graph: Any) -> int:
    """Put one operator in the place of each such group, in place; the number of those found."""
    makers = {output: node for node in graph.node for output in node.output}
    readers = _readers(graph)
    found = 0
    for node in [n for n in graph.node if n.op_type == "MatMulInteger"]:
        group = _group(node, makers, readers, set(constants(graph)))
        if group is None:
            continue
        quantizer, cast, scales, product, weight_scale = group
        for old in (cast, scales, node):
            graph.node.remove(old)
        alone = len(readers[quantizer.output[0]]) == 1
        dynamic = quantizer.op_type == "DynamicQuantizeLinear"
        if dynamic and alone:
            graph.node.remove(quantizer)
            inputs = [quantizer.input[0], node.input[1], weight_scale, node.input[3]]
        else:
            scale = quantizer.output[1] if dynamic else quantizer.input[1]
            inputs = [*node.input[:2], scale, weight_scale, *node.input[2:]]
        operator = "DynamicQuantizeMatMul" if dynamic and alone else "MatMulIntegerToFloat"
        new = helper.make_node(
            operator, inputs, [product.output[0]], name=product.name, domain="com.microsoft"
        )
        replace_node(graph, product, [new])
        found += 1
    return found


def _readers(graph: Any) -> dict[str, list[Any]]:
    readers: dict[str, list[Any]] = {output.name: [output] for output in graph.output}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return readers


def _group(
    node: Any, makers: dict[str, Any], readers: dict[str, list[Any]], constant: set[str]
) -> tuple[Any, Any, Any, Any, str] | None:
    """The quantizer, the cast, the scales' product, the last multiplication and the weights' scale, where all fit."""
    quantizer = makers.get(node.input[0])
    cast = _only(readers, node.output[0], "Cast")
    product = _only(readers, cast.output[0], "Mul") if cast is not None else None
    if quantizer is None or cast is None or product is None or len(node.input) != 4:
        return None
    other = next((name for name in product.input if name != cast.output[0]), "")
    scales = makers.get(other)
    if scales is None or scales.op_type != "Mul" or len(readers[other]) != 1:
        return None
    weight = [name for name in scales.input if name in constant and name != _scale(quantizer)]
    return (quantizer, cast, scales, product, weight[0]) if len(weight) == 1 else None


def _scale(quantizer: Any) -> str:
    name: str = quantizer.output[1] if len(quantizer.output) > 1 else quantizer.input[1]
    return name


def _only(readers: dict[str, list[Any]], name: str, operator: str) -> Any | None:
    """The one node that reads the value, where it is of that operator."""
    found = readers.get(name, [])
    fits = len(found) == 1 and getattr(found[0], "op_type", "") == operator
    return found[0] if fits else None
