"""An encoder's graph in float16: weights and activations; its inputs and its output keep their types.

The conversion is ONNX Runtime's own, which leaves operators in float32 that lose their meaning in 16 bits:
https://onnxruntime.ai/docs/performance/model-optimizations/float16.html
"""

from typing import Any

from build.graph.tensors import read_into_memory


def to_half(model: Any) -> Any:
    """Return the model in float16.

    What a float16 cannot hold becomes its largest number: a mask that adds the smallest float32 to a score adds the
    smallest float16, which a softmax takes as the same.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    read_into_memory(model.graph.initializer)
    return convert_float_to_float16(model, keep_io_types=True)
