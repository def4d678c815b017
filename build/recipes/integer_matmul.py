"""Fusion of integer MatMuls, which sessions of ours do not do themselves, as they load graphs without optimising them.

`quantize_dynamic` makes four nodes of a MatMul: the quantized input, its MatMulInteger with the weights, a cast, and a
multiplication by the product of both scales. DynamicQuantizeMatMul and MatMulIntegerToFloat compute all of them at
once: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from dataclasses import dataclass
from typing import Any

from onnx import helper

from build.graph.edit import CONTRIB, constants, consumers, producers, replace_node


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """The nodes around a MatMulInteger, and the name of its weights' scale.

    `quantizer` makes the integers of the input, `scales` is the product of both scales, `output` the last Mul.
    """

    quantizer: Any
    cast: Any
    scales: Any
    output: Any
    weight_scale: str


def fuse_integer_matmuls(graph: Any) -> int:
    """Replace each such group by one operator, in place; return how many there were."""
    makers, readers = producers(graph), consumers(graph)
    for value in graph.output:
        readers.setdefault(value.name, []).append(value)  # what the graph returns has to stay
    count = 0
    for node in [n for n in graph.node if n.op_type == "MatMulInteger"]:
        group = _group(node, makers, readers, set(constants(graph)))
        if group is None:
            continue
        for old in (group.cast, group.scales, node):
            graph.node.remove(old)
        quantizer, output = group.quantizer, group.output
        # An input that several MatMuls read is quantized once, by a node that stays.
        alone = len(readers[quantizer.output[0]]) == 1
        if quantizer.op_type == "DynamicQuantizeLinear" and alone:
            graph.node.remove(quantizer)
            operator = "DynamicQuantizeMatMul"
            inputs = [quantizer.input[0], node.input[1], group.weight_scale, node.input[3]]
        else:
            operator = "MatMulIntegerToFloat"
            scales = [_scale(quantizer), group.weight_scale]
            inputs = [*node.input[:2], *scales, *node.input[2:]]
        new = helper.make_node(
            operator, inputs, [output.output[0]], name=output.name, domain=CONTRIB
        )
        replace_node(graph, output, [new])
        count += 1
    return count


def _group(
    node: Any, makers: dict[str, Any], readers: dict[str, list[Any]], constant: set[str]
) -> _Group | None:
    """Match the nodes around a MatMulInteger; None if one of them is missing or is read elsewhere."""
    quantizer = makers.get(node.input[0])
    cast = _only_reader(readers, node.output[0], "Cast")
    output = _only_reader(readers, cast.output[0], "Mul") if cast is not None else None
    # Four inputs: `quantize_dynamic` gives a MatMulInteger both zero points.
    if quantizer is None or cast is None or output is None or len(node.input) != 4:
        return None
    factor = next((name for name in output.input if name != cast.output[0]), "")
    scales = makers.get(factor)
    if scales is None or scales.op_type != "Mul" or len(readers[factor]) != 1:
        return None
    weight = [n for n in scales.input if n in constant and n != _scale(quantizer)]
    if len(weight) != 1:
        return None
    return _Group(
        quantizer=quantizer, cast=cast, scales=scales, output=output, weight_scale=weight[0]
    )


def _scale(quantizer: Any) -> str:
    """Return the scale of a DynamicQuantizeLinear, which computes it, or of a QuantizeLinear, which reads it."""
    name: str = quantizer.output[1] if len(quantizer.output) > 1 else quantizer.input[1]
    return name


def _only_reader(readers: dict[str, list[Any]], name: str, operator: str) -> Any | None:
    """Return the one node that reads a tensor if it is of that operator."""
    nodes = readers.get(name, [])
    matches = len(nodes) == 1 and getattr(nodes[0], "op_type", "") == operator
    return nodes[0] if matches else None
