"""OpenVINO: the exported graph in full and half precision, and in INT8 by NNCF, calibrated on the same rows.

On NNCF's own default number of rows, on more of them, and with those products left in floats that lose the most answers
(`quantize_with_accuracy_control`).
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import openvino

from benchmarks.contenders import Item, Opened, Setting
from benchmarks.contenders.embedders import Best
from benchmarks.contenders.tokens import arrays, largest, padded, sample

# NNCF's own default number of samples, and as many as it gains from; rows that answers are compared on meanwhile.
DEFAULT_ROWS, MORE_ROWS, VALIDATION_ROWS = 300, 1000, 300
# The share of answers that may change.
MAX_CHANGED = 0.005


def full(setting: Setting) -> Opened:
    return _opened(setting.scratch / "plain.onnx", setting.threads, "f32")


def half(setting: Setting) -> Opened:
    return _opened(setting.scratch / "plain.onnx", setting.threads, "bf16")


def calibrated(setting: Setting) -> Opened:
    return _opened(_quantized(setting, DEFAULT_ROWS), setting.threads, "f32")


def calibrated_on_more(setting: Setting) -> Opened:
    return _opened(_quantized(setting, MORE_ROWS), setting.threads, "f32")


def controlled(setting: Setting) -> Opened:
    return _opened(_controlled(setting), setting.threads, "f32")


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


def embedder(setting: Setting) -> Opened:
    """Open a sentence encoder in full precision for many texts at once, with the hint for throughput."""
    return _many(setting.scratch / "plain.onnx", setting.threads)


def calibrated_embedder(setting: Setting) -> Opened:
    """Open the same in INT8."""
    return _many(_quantized(setting, MORE_ROWS), setting.threads)


def _many(graph: Path, threads: int) -> Opened:
    core = openvino.Core()
    names = [node.any_name for node in core.read_model(graph).inputs]
    settings = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_NUM_THREADS": str(threads),
        "INFERENCE_PRECISION_HINT": "f32",
    }
    # As many jobs at once as the hint gives.
    queue = openvino.AsyncInferQueue(core.compile_model(graph, "CPU", settings))
    found: dict[int, Any] = {}

    def keep(request: Any, numbers: list[int]) -> None:
        found.update(zip(numbers, request.get_output_tensor(0).data.tolist(), strict=True))

    queue.set_callback(keep)

    def run(items: Sequence[Item], size: int) -> list[list[float]]:
        order = sorted(range(len(items)), key=lambda i: len(items[i].ids), reverse=True)
        for first in range(0, len(order), size):
            numbers = order[first : first + size]
            feeds = padded([items[i] for i in numbers])
            queue.start_async({name: feeds[name] for name in names}, userdata=numbers)
        queue.wait_all()
        return [found[i] for i in range(len(items))]

    return Opened(run=Best(run), version=openvino.__version__.split("-")[0])


def _quantized(setting: Setting, rows: int) -> Path:
    import nncf

    small = setting.scratch / f"openvino-int8-{rows}.xml"
    if small.exists():
        return small
    model = openvino.Core().read_model(setting.scratch / "plain.onnx")
    picked = sample(setting, rows)
    quantized = nncf.quantize(
        model,
        nncf.Dataset(picked, _feeds_of(model)),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(picked),
    )
    return _saved(quantized, small)


def _controlled(setting: Setting) -> Path:
    import nncf

    small = setting.scratch / "openvino-int8-controlled.xml"
    if small.exists():
        return small
    model = openvino.Core().read_model(setting.scratch / "plain.onnx")
    calibration, validation = sample(setting, MORE_ROWS), sample(setting, VALIDATION_ROWS)
    feeds = _feeds_of(model)
    whole = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    expected = {item.ids: largest(whole(feeds(item))[0]) for item in validation}

    def same(compiled: Any, data: Iterable[Item]) -> tuple[float, list[float]]:
        """Return the share of answers that are the float model's, and for each whether it is."""
        equal = [float(largest(compiled(feeds(i))[0]) == expected[i.ids]) for i in data]
        return sum(equal) / len(equal), equal

    quantized = nncf.quantize_with_accuracy_control(
        model,
        calibration_dataset=nncf.Dataset(calibration, feeds),
        validation_dataset=nncf.Dataset(validation, feeds),
        validation_fn=same,
        max_drop=MAX_CHANGED,
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(calibration),
    )
    return _saved(quantized, small)


def _feeds_of(model: Any) -> Callable[[Any], dict[str, Any]]:
    names = [node.any_name for node in model.inputs]
    return lambda item: {name: arrays(item)[name] for name in names}


def _saved(model: Any, path: Path) -> Path:
    # `save_model` halves the float weights unless it is told not to.
    openvino.save_model(model, path, compress_to_fp16=False)
    return path
