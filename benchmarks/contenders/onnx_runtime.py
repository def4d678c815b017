"""ONNX Runtime by default: the exported graph, and the output of its own quantizer with default settings."""

from pathlib import Path

import onnxruntime

from benchmarks.contenders import Opened, Setting
from benchmarks.contenders.tokens import arrays, largest


def full(setting: Setting) -> Opened:
    return _opened(setting.scratch / "plain.onnx", setting.threads)


def dynamic(setting: Setting) -> Opened:
    return _opened(_quantized(setting.scratch / "plain.onnx"), setting.threads)


def fused(setting: Setting) -> Opened:
    """Fuse attention, layer norms and GELU before quantization, as its documentation advises."""
    return _opened(_quantized(setting.scratch / "fused.onnx"), setting.threads)


def _quantized(graph: Path) -> Path:
    from onnxruntime.quantization import quantize_dynamic

    small = graph.with_name(f"{graph.stem}-int8.onnx")
    if not small.exists():
        # 1 is FLOAT: the type of tensors that shape inference does not reach, without which the quantizer fails.
        quantize_dynamic(graph, small, extra_options={"DefaultTensorType": 1})
    return small


def _opened(graph: Path, threads: int) -> Opened:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    return Opened(
        prepare=lambda item: {name: arrays(item)[name] for name in names},
        run=lambda feeds: session.run(None, feeds)[0],
        read=largest,
        version=onnxruntime.__version__,
    )
