"""OpenVINO: the exported graph in full and half precision, and in INT8 calibrated by NNCF on the same rows."""

import json
from pathlib import Path
from typing import Any

import openvino

from benchmarks.contenders import Item, Opened, Setting
from benchmarks.contenders.tokens import arrays, largest

# NNCF's own default number of samples.
CALIBRATION_ROWS = 300


def full(setting: Setting) -> Opened:
    return _opened(setting.scratch / "plain.onnx", setting.threads, "f32")


def half(setting: Setting) -> Opened:
    return _opened(setting.scratch / "plain.onnx", setting.threads, "bf16")


def calibrated(setting: Setting) -> Opened:
    return _opened(_quantized(setting), setting.threads, "f32")


def _opened(graph: Path, threads: int, precision: str) -> Opened:
    core = openvino.Core()
    names = [node.any_name for node in core.read_model(graph).inputs]
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
        # By default OpenVINO computes in bf16 where the processor has it.
        "INFERENCE_PRECISION_HINT": precision,
    }
    request = core.compile_model(graph, "CPU", settings).create_infer_request()
    return Opened(
        prepare=lambda item: {name: arrays(item)[name] for name in names},
        run=lambda feeds: request.infer(feeds, share_inputs=True)[0],
        read=largest,
        version=openvino.__version__.split("-")[0],
    )


def _quantized(setting: Setting) -> Path:
    import nncf

    small = setting.scratch / "openvino-int8.xml"
    if small.exists():
        return small
    model = openvino.Core().read_model(setting.scratch / "plain.onnx")
    names = [node.any_name for node in model.inputs]
    lines = setting.items.read_text("utf-8").splitlines()
    items = [Item.of(json.loads(line)) for line in lines]
    picked = items[:: max(1, len(items) // CALIBRATION_ROWS)]

    def feeds(item: Any) -> dict[str, Any]:
        return {name: arrays(item)[name] for name in names}

    quantized = nncf.quantize(
        model,
        nncf.Dataset(picked, feeds),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(picked),
    )
    # `save_model` halves the float weights unless it is told not to.
    openvino.save_model(quantized, small, compress_to_fp16=False)
    return small
