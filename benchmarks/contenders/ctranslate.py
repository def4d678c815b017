"""CTranslate2: its encoder with INT8 weights and activations, the classifier's two products in numpy."""

from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from benchmarks.contenders import Item, Opened, Setting
from benchmarks.contenders.tokens import largest


def encoder(setting: Setting) -> Opened:
    folder = _converted(setting)
    model = ctranslate2.Encoder(
        str(folder),
        device="cpu",
        compute_type="int8",
        inter_threads=1,
        intra_threads=setting.threads,
    )
    weight, bias = _head(setting.model)

    def run(ids: list[list[int]]) -> Any:
        pooled = np.array(model.forward_batch(ids).pooler_output)
        return pooled @ weight.T + bias

    return Opened(prepare=_ids, run=run, read=largest, version=ctranslate2.__version__)


def _ids(item: Item) -> list[list[int]]:
    return [list(item.ids)]


def _converted(setting: Setting) -> Path:
    from ctranslate2.converters import TransformersConverter

    folder = setting.scratch / "ctranslate2"
    if not folder.exists():
        TransformersConverter(str(setting.scratch / "backbone")).convert(
            str(folder), quantization="int8"
        )
    return folder


def _head(model: Path) -> tuple[Any, Any]:
    from safetensors.numpy import load_file

    tensors = load_file(model / "model.safetensors")
    return tensors["classifier.weight"], tensors["classifier.bias"]
