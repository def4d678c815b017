"""A graph quantized one weight after the other is the one that ONNX Runtime's quantizer makes of all at once."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from build.graph.edit import CONTRIB, make_model
from build.recipes.dynamic_int8 import OPTIONS, quantize
from build.workspace.quiet import quiet

RANDOM = np.random.default_rng(11)
OPERATORS = ["Attention", "MatMul"]


def constant(name: str, *shape: int) -> Any:
    return numpy_helper.from_array(RANDOM.standard_normal(shape).astype(np.float32), name)


def small() -> Any:
    """Return a graph with a shared matrix, one too small to be left out, a table, a Gemm, attention and an LSTM."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"], name="words"),
        helper.make_node(
            "Attention", ["words", "qkv", "bias"], ["mixed"], "mix", domain=CONTRIB, num_heads=2
        ),
        helper.make_node(
            "LSTM", ["words", "read", "kept"], ["", "state"], name="recur", hidden_size=24
        ),
        helper.make_node("MatMul", ["mixed", "square"], ["once"], name="once"),
        helper.make_node("MatMul", ["once", "square"], ["twice"], name="twice"),
        helper.make_node("MatMul", ["twice", "narrow"], ["few"], name="few"),
        helper.make_node("Gather", ["few", "first"], ["pooled"], name="pool", axis=1),
        helper.make_node("Gemm", ["pooled", "head", "zero"], ["logits"], name="head", transB=1),
    ]
    constants = [
        constant("table", 50, 32),
        constant("qkv", 32, 96),
        constant("bias", 96),
        constant("read", 1, 96, 32),
        constant("kept", 1, 96, 24),
        constant("square", 32, 32),
        constant("narrow", 32, 4),
        numpy_helper.from_array(np.array(0, np.int64), "first"),
        constant("head", 300, 4),
        constant("zero", 300),
        constant("unread", 40, 40),
    ]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 300])
    state = helper.make_tensor_value_info("state", TensorProto.FLOAT, [1, "tokens", 24])
    return make_model(helper.make_graph(nodes, "small", [ids], [logits, state], constants))


@pytest.mark.parametrize("operators", [OPERATORS, ["MatMul"], ["MatMul", "LSTM"]], ids="+".join)
@pytest.mark.parametrize("per_channel", [False, True], ids=["a scale each", "per channel"])
def test_the_bytes_are_those_of_a_graph_quantized_whole(
    tmp_path: Path, operators: list[str], per_channel: bool
) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = small()
    with quiet():
        quantize_dynamic(
            model,
            tmp_path / "whole.onnx",
            op_types_to_quantize=operators,
            per_channel=per_channel,
            reduce_range=per_channel,
            weight_type=QuantType.QInt8,
            extra_options=dict(OPTIONS),
        )
    whole = onnx.load(tmp_path / "whole.onnx")
    # The library says of constants that lay in a file that they no longer do.
    for tensor in whole.graph.initializer:
        tensor.ClearField("data_location")
    made = quantize(model, operators, per_channel=per_channel)
    names = [tensor.name for tensor in made.graph.initializer]
    assert "square_quantized" in names
    assert ("qkv_quantized" in names) == ("Attention" in operators)
    assert ("read_quantized" in names) == ("LSTM" in operators)
    assert "table" in names
    assert made.SerializeToString(deterministic=True) == whole.SerializeToString(deterministic=True)
