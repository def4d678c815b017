"""Sentence encoders in sentence-transformers' ONNX and OpenVINO backends, in the INT8 of its documentation.

It calls OpenVINO's static INT8 the fastest on processors (https://sbert.net/docs/sentence_transformer/usage/efficiency.html),
which is calibrated here on the texts of the table instead of a download.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentence_transformers
import torch

from benchmarks.contenders import Opened, Setting
from benchmarks.contenders.embedders import opened_model
from benchmarks.contenders.tokens import sample

ONNX, OPENVINO = "model_qint8_avx512_vnni.onnx", "openvino_model_qint8_quantized.xml"
# NNCF's own default.
CALIBRATION_TEXTS = 300


def onnx_int8(setting: Setting) -> Opened:
    """Open the ONNX backend, with dynamic ranges."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = setting.threads
    words = {"provider": "CPUExecutionProvider", "session_options": options}
    return _opened(setting, f"onnx/{ONNX}", words, _dynamic)


def openvino_int8(setting: Setting) -> Opened:
    """Open the OpenVINO backend, with static ranges and its other settings as the library has them."""
    words = {"ov_config": {"INFERENCE_NUM_THREADS": str(setting.threads)}}
    return _opened(setting, f"openvino/{OPENVINO}", words, _static)


def _dynamic(model: Any, path: Path, setting: Setting) -> None:
    folder = str(path.parents[1])
    sentence_transformers.export_dynamic_quantized_onnx_model(model, "avx512_vnni", folder)


def _static(model: Any, path: Path, setting: Setting) -> None:
    """Quantize as `export_static_quantized_openvino_model`, which takes a data set of the Hub alone."""
    import nncf
    import openvino

    graph = model[0].auto_model.model
    names = [node.any_name for node in graph.inputs]

    def feeds(text: str) -> dict[str, Any]:
        tokens = model.tokenizer([text], truncation=True, return_tensors="np")
        return {name: tokens[name] for name in names}

    texts = [item.text for item in sample(setting, CALIBRATION_TEXTS)]
    small = nncf.quantize(
        graph,
        nncf.Dataset(texts, feeds),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(texts),
    )
    path.parent.mkdir(exist_ok=True)
    openvino.save_model(small, path, compress_to_fp16=False)


def _opened(
    setting: Setting,
    name: str,
    words: dict[str, Any],
    quantize: Callable[[Any, Path, Setting], None],
) -> Opened:
    torch.set_num_threads(setting.threads)
    folder, backend = setting.scratch / "sentence-backends", name.split("/")[0]
    if not folder.exists():
        shutil.copytree(setting.model, folder)

    def loaded(**more: Any) -> Any:
        return sentence_transformers.SentenceTransformer(
            str(folder), backend=backend, local_files_only=True, model_kwargs={**words, **more}
        )

    if not (folder / name).exists():
        quantize(loaded(export=True), folder / name, setting)
    return opened_model(loaded(file_name=name))
