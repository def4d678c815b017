"""Dynamic int8: int8 weights, and activations with the range of each request, by ONNX Runtime's quantizer.

https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from build.workspace.quiet import quiet


def replace_gemms(model: Any) -> None:
    """Replace each Gemm by a MatMul and an Add, in place, as ONNX Runtime's quantizer does before it quantizes."""
    from onnxruntime.quantization.onnx_model import ONNXModel

    ONNXModel(model).replace_gemm_with_matmul()


def quantize(
    model: Any, destination: Path, operators: Sequence[str], *, per_channel: bool = True
) -> Any:
    """Quantize the constant matrices that nodes of those operators read; write the model and return it.

    Weights per channel keep 7 bits, which no 16-bit sum saturates with (see `build.recipes.saturation`). One scale per
    tensor comes with all 8 bits, as ONNX Runtime has it by default.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # A product of two activations has no weights to quantize ahead. The default type is for tensors that shape
    # inference does not reach: ONNX Runtime's optimiser leaves no shapes behind.
    options = {"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT}
    with quiet():
        quantize_dynamic(
            model,
            destination,
            op_types_to_quantize=list(operators),
            per_channel=per_channel,
            reduce_range=per_channel,
            weight_type=QuantType.QInt8,
            extra_options=options,
        )
    return onnx.load(destination)
