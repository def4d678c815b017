"""Dynamic int8: int8 weights, and activations with the range of each request, by ONNX Runtime's quantizer.

https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import helper

from build.graph.edit import constants
from build.graph.file import MIN_EXTERNAL_BYTES, without_constants
from build.graph.tensors import in_memory, is_stored, raw_bytes, read_into_memory
from build.workspace.quiet import quiet

# A product of two activations has no weights to quantize ahead. The default type is for tensors that shape inference
# does not reach: ONNX Runtime's optimiser leaves no shapes behind.
OPTIONS = {"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT}


def replace_gemms(model: Any) -> None:
    """Replace each Gemm by a MatMul and an Add, in place, as ONNX Runtime's quantizer does before it quantizes."""
    from onnxruntime.quantization.onnx_model import ONNXModel

    read = {name for node in model.graph.node if node.op_type == "Gemm" for name in node.input}
    read_into_memory(tensor for tensor in model.graph.initializer if tensor.name in read)
    ONNXModel(model).replace_gemm_with_matmul()


def quantize(
    model: Any, operators: Sequence[str], *, without: Sequence[str] = (), per_channel: bool = False
) -> Any:
    """Quantize the constants that nodes of those operators read, with one scale each; return the new model.

    Nodes `without`, by their names, are left as they are. Constants keep all 8 bits, as ONNX Runtime has it by default.
    With `per_channel` they have a scale for each channel, also those of three axes, and 7 bits, which no 16-bit sum
    saturates with (see `build.recipes.saturation`). A Gemm is replaced in place. The quantizer copies a model four
    times, so it gets one without its weights, and each of these when it quantizes it.
    """
    from onnxruntime.quantization import QuantType, onnx_quantizer
    from onnxruntime.quantization.quant_utils import save_and_reload_model_with_shape_infer
    from onnxruntime.quantization.quantize import QuantizationMode

    class OneByOne(onnx_quantizer.ONNXQuantizer):  # type: ignore[misc]
        """The quantizer, which takes a weight from the full model and forgets it again."""

        def quantize_initializer_impl(self, weight: Any, *words: Any, **named: Any) -> Any:
            return super().quantize_initializer_impl(
                in_memory(weights[weight.name]), *words, **named
            )

        def quantize_weight_per_channel_impl(self, name: str, *words: Any, **named: Any) -> Any:
            (weight,) = (each for each in self.model.initializer() if each.name == name)
            if name in large:
                weight.raw_data = bytes(raw_bytes(weights[name]))
            found = super().quantize_weight_per_channel_impl(name, *words, **named)
            if name in large:
                weight.ClearField("raw_data")
            return found

    replace_gemms(model)
    weights = constants(model.graph)
    large = {name: tensor for name, tensor in weights.items() if _is_large(tensor)}
    with quiet():
        quantizer = OneByOne(
            save_and_reload_model_with_shape_infer(_with_inputs_for(model, large)),
            per_channel,
            per_channel,
            QuantizationMode.IntegerOps,
            False,
            QuantType.QInt8,
            QuantType.QUInt8,
            None,
            [],
            list(without),
            list(operators),
            dict(OPTIONS),
        )
        _with_names_for(quantizer, model, large)
        quantizer.quantize_model()
        quantizer.model.topological_sort()
    quantized = quantizer.model.model
    for tensor in quantized.graph.initializer:
        if tensor.name in large:
            tensor.CopyFrom(large[tensor.name])
    return quantized


def _is_large(tensor: Any) -> bool:
    """Return whether the quantizer does without the tensor until it quantizes it."""
    return is_stored(tensor) or len(tensor.raw_data) >= MIN_EXTERNAL_BYTES


def _with_inputs_for(model: Any, large: Mapping[str, Any]) -> Any:
    """Return a copy of the model with inputs, whose shapes are known, in the place of the large constants."""
    copy = without_constants(model)
    for tensor in model.graph.initializer:
        if tensor.name in large:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            copy.graph.input.append(value)
        else:
            copy.graph.initializer.append(tensor)
    return copy


def _with_names_for(quantizer: Any, model: Any, large: Mapping[str, Any]) -> None:
    """Give the quantizer's graph constants without numbers in the place of those inputs."""
    graph = quantizer.model.model.graph
    small = {tensor.name: tensor for tensor in graph.initializer}
    every = [
        onnx.TensorProto(name=each.name, data_type=each.data_type, dims=each.dims)
        if each.name in large
        else small[each.name]
        for each in model.graph.initializer
        if each.name in large or each.name in small
    ]
    inputs = [value for value in graph.input if value.name not in large]
    del graph.initializer[:], graph.input[:]
    graph.initializer.extend(every)
    graph.input.extend(inputs)
    for name in large:
        quantizer.value_infos.pop(name, None)
        quantizer.tensor_names.pop(name, None)
    quantizer.generated_value_names = quantizer.model.get_non_initializer_inputs()
