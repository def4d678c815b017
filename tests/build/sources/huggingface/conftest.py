"""A Hugging Face folder made of its files alone, without a library: what is read before anything is loaded."""

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]
CONFIG = {
    "model_type": "bert",
    "architectures": ["BertForSequenceClassification"],
    "vocab_size": 4,
    "hidden_size": 2,
    "num_attention_heads": 1,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "id2label": {"0": "bad", "1": "good"},
}
TOKENIZER = {
    "model": {"type": "WordLevel", "vocab": {"[PAD]": 0, "[UNK]": 1, "a": 2, "b": 3}},
    "added_tokens": [],
}


def write_weights(path: Path, kind: str = "F32", name: str = "weight") -> None:
    """Write a safetensors file of one number of that type."""
    size = 1 if kind.startswith("F8") else 4
    header = json.dumps({name: {"dtype": kind, "shape": [1], "data_offsets": [0, size]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a folder of a classifier, with more JSON files by their names."""

    def written(files: Mapping[str, Any] | None = None, **config: Any) -> Path:
        folder = tmp_path / "model"
        documents = {"config.json": {**CONFIG, **config}, "tokenizer.json": TOKENIZER}
        for name, document in {**documents, **(files or {})}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(json.dumps(document), "utf-8")
        write_weights(folder / "model.safetensors")
        return folder

    return written
