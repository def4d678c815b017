"""What is to be built: a source that was found usable, whatever it was saved as."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.manifest import file_sha256
from contracts.specs import Hints
from contracts.tasks import Task

# Files that a model is made of, by the end of their names; what else lies in a folder changes nothing.
PARTS = {".json", ".safetensors", ".bin", ".txt", ".model", ".onnx", ".data", ".onnx_data", ".pt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source that was found usable. `digest` covers every file a model is made of.

    `kind` says what it was saved as, `details` what the code that serves it has to know besides (see Manifest). A bare
    graph has a `file`, and `inputs` say what it takes, in order; `quantized` that it is so already.
    """

    kind: str
    folder: Path
    task: Task
    digest: str
    tokenizer: Path
    weight_bytes: int
    model_type: str = ""
    heads: int = 0
    hidden: int = 0
    max_tokens: int
    labels: tuple[str, ...] = ()
    pooling: str = ""
    normalize: bool = False
    pad_token_id: int = 0
    licence: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None
    inputs: tuple[str, ...] = ()
    quantized: bool = False


HUGGING_FACE, ONNX, TORCHSCRIPT = "Hugging Face folder", "ONNX graph", "TorchScript file"
LOOKED_FOR = "looked for a Hugging Face folder, .onnx, and TorchScript as .pt or .ts"
UNKNOWN_FILE = {
    ".tflite": "a TFLite file, which cannot be built yet; build the model that it was made from",
    ".gguf": "a GGUF file, which cannot be built yet; save it with transformers' `gguf_file` as a folder",
    ".bin": "a pickle, which runs code when it is loaded; save the model as safetensors",
    ".pkl": "a pickle, which runs code when it is loaded; save the model as safetensors",
    **dict.fromkeys(
        (".vec", ".w2v", ".glove"), "word vectors, which only `task` word-vectors serves"
    ),
    ".safetensors": "weights alone; name the folder that has their config.json and tokenizer.json as well",
}


class Unusable(Exception):
    """One thing that makes a source unusable."""


def inspect(
    source: Path, task: Task, max_tokens: int | None, hints: Hints | None = None
) -> tuple[Source | None, list[str]]:
    """The source, or every mistake that was found in it."""
    try:
        return _reader(source, task)(source, task, max_tokens, hints or Hints()), []
    except Unusable as error:
        return None, [f"{source}: {mistake}" for mistake in error.args]


def _reader(source: Path, task: Task) -> Callable[[Path, Task, int | None, Hints], Source]:
    """What reads a source of its kind; raises Unusable where that cannot be told or cannot be built."""
    from build import huggingface, onnxsource, torchscript, vectorfiles

    if task is Task.WORD_VECTORS:  # whatever such a file is called, its content tells
        return vectorfiles.read
    if source.is_file():
        readers = {".onnx": onnxsource.read, ".pt": torchscript.read, ".ts": torchscript.read}
        if source.suffix not in readers:
            raise Unusable(
                UNKNOWN_FILE.get(source.suffix, "not a model file that can be built; " + LOOKED_FOR)
            )
        return readers[source.suffix]
    if not source.is_dir():
        raise Unusable("not a folder; put a Hugging Face model there, or correct `source`")
    if (source / "saved_model.pb").is_file():
        raise Unusable(
            "a TensorFlow SavedModel, which cannot be built yet; convert it to ONNX with tf2onnx"
        )
    graphs, weights = list(source.glob("*.onnx")), list(source.glob("*.safetensors"))
    if graphs and weights:
        raise Unusable(
            f"holds {graphs[0].name} and {weights[0].name}; name the .onnx file as `source`, or move one away"
        )
    return onnxsource.read if graphs else huggingface.read


def digest_of(folder: Path, *others: Path) -> str:
    """SHA-256 over the names and digests of the files a model is made of, and of files elsewhere."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in PARTS and path.is_file():
            digest.update(f"{path.relative_to(folder)}\0{file_sha256(path)}\n".encode())
    for path in others:
        digest.update(f"{path.name}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()
