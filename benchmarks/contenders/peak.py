"""INT8 peak of the machine: one large product of 8-bit integers, the bulk of an encoder's work.

ONNX Runtime's MatMulInteger of unsigned activations [M, K] and signed weights [K, N], with 32-bit sums. The weights are
a constant, packed when the session is opened, and the activations stay in the second-level cache.

It runs as our graphs do, on threads that end their spinning with the run: others would take a processor from the
contender that runs next.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, save

from benchmarks.contenders import Opened, Setting
from functions.inference.session import open_session

M, K, N = 256, 1536, 1536
MACS = M * K * N


def matrix_product(setting: Setting) -> Opened:
    """Open one product; a run is MACS multiply-accumulates."""
    rng = np.random.default_rng(7)
    weights = rng.integers(-63, 64, (K, N), dtype=np.int8)
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "peak",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [M, K])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [M, N])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with TemporaryDirectory() as folder:
        save(model, path := Path(folder) / "model.onnx")
        session = open_session(path, threads=setting.threads, device="cpu")
    feeds = {"x": rng.integers(0, 256, (M, K), dtype=np.uint8)}
    return Opened(
        prepare=lambda item: feeds,
        run=lambda feeds: session.run(None, feeds),
        read=_nothing,
        version=onnxruntime.__version__,
    )


def _nothing(answer: Any) -> list[int]:
    return []
