"""Large constants are left out while ONNX Runtime's optimiser rearranges a graph, and put back as they were."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from build.graph.edit import constants, make_model
from build.graph.stand_ins import put_back, with_stand_ins

RANDOM = np.random.default_rng(5)


@pytest.fixture
def model() -> Any:
    """Return a model with a table, a square and two equal wide matrices, and a small one."""
    wide = RANDOM.standard_normal((32, 64)).astype(np.float32)
    arrays = {
        "table": RANDOM.standard_normal((90, 32)).astype(np.float32),
        "square": RANDOM.standard_normal((32, 32)).astype(np.float32),
        "wide": wide,
        "same": wide,
        "small": RANDOM.standard_normal((64, 2)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"]),
        helper.make_node("MatMul", ["words", "square"], ["mixed"]),
        helper.make_node("MatMul", ["mixed", "wide"], ["one"]),
        helper.make_node("MatMul", ["mixed", "same"], ["other"]),
        helper.make_node("Add", ["one", "other"], ["sum"]),
        helper.make_node("MatMul", ["sum", "small"], ["logits"]),
    ]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, [None, None])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    return make_model(helper.make_graph(nodes, "stand-ins", [ids], [logits], tensors))


def test_what_is_left_out_is_put_back_to_the_byte(model: Any) -> None:
    lean, digests = with_stand_ins(model)
    assert set(digests) == {"table", "wide", "same"}
    own = constants(lean.graph)
    assert {name: len(own[name].raw_data) for name in digests} == {
        "table": 4 * 32,
        "wide": 32,
        "same": 32,
    }
    # A table is read for its width.
    assert numpy_helper.to_array(own["table"]).shape == (1, 32)
    # An optimiser finds that two are one constant, as it would in the whole model.
    assert own["wide"].raw_data == own["same"].raw_data != own["table"].raw_data[:32]
    assert put_back(lean, model, digests)
    assert lean.SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)


def test_a_stand_in_that_has_another_name_is_not_put_back(model: Any) -> None:
    for name in ("wide", "table"):
        lean, digests = with_stand_ins(model)
        constants(lean.graph)[name].name = "another"
        assert not put_back(lean, model, digests)


def test_equal_constants_may_become_one(model: Any) -> None:
    lean, digests = with_stand_ins(model)
    del lean.graph.initializer[[t.name for t in lean.graph.initializer].index("same")]
    lean.graph.node[3].input[1] = "wide"
    assert put_back(lean, model, digests)
    assert constants(lean.graph)["wide"] == constants(model.graph)["wide"]
