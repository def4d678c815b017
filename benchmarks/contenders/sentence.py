"""sentence-transformers with its ONNX backend, in full precision and in the INT8 of its documentation.

It has no classifiers of single texts, so the model within its CrossEncoder is timed, on prepared tokens.
"""

import shutil
from pathlib import Path
from typing import Any

import sentence_transformers
import torch

from benchmarks.contenders import Opened, Setting
from benchmarks.contenders.torch_ import classifier


def full(setting: Setting) -> Opened:
    return _opened(_folder(setting), "model.onnx", setting.threads)


def small(setting: Setting) -> Opened:
    folder = _folder(setting)
    name = "model_qint8_avx512_vnni.onnx"
    if not (folder / "onnx" / name).exists():
        model = _loaded(folder, "model.onnx", setting.threads)
        sentence_transformers.export_dynamic_quantized_onnx_model(model, "avx512_vnni", str(folder))
    return _opened(folder, name, setting.threads)


def _folder(setting: Setting) -> Path:
    """Return the model's folder with the exported graph where the library looks for it."""
    folder = setting.scratch / "sentence-transformers"
    if not (folder / "onnx" / "model.onnx").exists():
        shutil.copytree(setting.model, folder, dirs_exist_ok=True)
        (folder / "onnx").mkdir(exist_ok=True)
        shutil.copyfile(setting.scratch / "plain.onnx", folder / "onnx" / "model.onnx")
    return folder


def _loaded(folder: Path, name: str, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return sentence_transformers.CrossEncoder(
        str(folder),
        backend="onnx",
        local_files_only=True,
        model_kwargs={
            "file_name": f"onnx/{name}",
            "provider": "CPUExecutionProvider",
            "session_options": options,
        },
    )


def _opened(folder: Path, name: str, threads: int) -> Opened:
    torch.set_num_threads(threads)
    return classifier(_loaded(folder, name, threads).model, sentence_transformers.__version__)
