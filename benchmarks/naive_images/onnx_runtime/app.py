"""Sentence embeddings by ONNX Runtime: the model is loaded once, when the function's environment starts."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("model/tokenizer.json")
tokenizer.no_padding()
tokenizer.enable_truncation(256)
options = ort.SessionOptions()
kernels = Path("model/kernels-x86_64.so").absolute()
if kernels.exists():
    options.register_custom_ops_library(str(kernels))
session = ort.InferenceSession("model/model.onnx", options, providers=["CPUExecutionProvider"])
names = {given.name for given in session.get_inputs()}


def embed(text: str) -> list[float]:
    """Return the vector of a text, which the graph pools and normalises."""
    encoding = tokenizer.encode(text)
    columns = {
        "input_ids": encoding.ids,
        "attention_mask": encoding.attention_mask,
        "token_type_ids": encoding.type_ids,
    }
    feeds = {name: np.array([columns[name]], dtype=np.int64) for name in names}
    vector: list[float] = session.run(None, feeds)[0][0].tolist()
    return vector


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return {"outputs": [{"embedding": embed(text)} for text in event["inputs"]]}
