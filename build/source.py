"""What is to be built: a source that was found usable, whatever it was saved as."""

import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from build.errors import BuildError, in_short
from contracts.manifest import file_sha256
from contracts.specs import Hints
from contracts.tasks import Task

# Files that a model is made of, by the end of their names; what else lies in a folder changes nothing.
PARTS = {
    ".json",
    ".safetensors",
    ".bin",
    ".txt",
    ".model",
    ".onnx",
    ".data",
    ".onnx_data",
    ".pt",
    ".arpa",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """A layer over a text's vector: `place` is its folder within the source's, with the weights."""

    place: str
    activation: str
    pickled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """How a text's vector is made of those of its tokens: by `modes`, joined by a plus, then layers, then length 1."""

    modes: str
    dense: tuple[Dense, ...] = ()
    normalize: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source that was found usable. `digest` covers every file a model is made of.

    `kind` says what it was saved as, `details` what the code that serves it has to know besides (see Manifest). A bare
    graph has a `file`, and `inputs` say what it takes, in order; `quantized` that it is so already. `end` is how it
    makes probabilities of logits, where it does; `one_text` says that it takes one text at a time; `tools` are the
    versions of what else made the graph; `stored` says in which types the weights are, where those are not floats;
    `weights` how many these are, where the file says so; `pickled` that they have to be taken out of a pickle first.
    """

    kind: str
    folder: Path
    task: Task
    digest: str
    tokenizer: Path
    weight_bytes: int
    weights: int = 0
    model_type: str = ""
    heads: int = 0
    hidden: int = 0
    max_tokens: int
    labels: tuple[str, ...] = ()
    pooling: str = ""
    dense: tuple[Dense, ...] = ()
    normalize: bool = False
    pickled: bool = False
    pad_token_id: int = 0
    licence: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    stored: str = ""
    file: Path | None = None
    inputs: tuple[str, ...] = ()
    quantized: bool = False
    end: str = ""
    one_text: bool = False
    tools: Mapping[str, str] = field(default_factory=dict)

    @property
    def batches(self) -> bool:
        """Whether texts may run together: not where padding would be read as a part of them."""
        masked = not self.inputs or "attention_mask" in self.inputs or "length" in self.details
        return masked and not self.one_text and not self.quantized


HUGGING_FACE, ONNX, TORCHSCRIPT = "Hugging Face folder", "ONNX graph", "TorchScript file"
ARPA, GGUF = "ARPA file", "GGUF file"
SAVED_MODEL, TFLITE = "TensorFlow SavedModel", "TFLite file"
LOOKED_FOR = (
    "looked for a Hugging Face folder, .onnx, TorchScript as .pt or .ts, a SavedModel folder, .tflite, "
    ".gguf, and .arpa or .arpa.gz"
)
KERAS = (
    "a Keras file, which may hold code that runs when it is loaded; save the model as a SavedModel folder with "
    "`model.export(folder)`"
)
UNKNOWN_FILE = {
    ".keras": KERAS,
    ".h5": KERAS,
    ".hdf5": KERAS,
    ".pb": "a TensorFlow graph alone; name the SavedModel folder that it belongs to, or make one",
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
    kind = "a model"
    try:
        module = _module(source, task)
        kind = KINDS[module]
        return _read_by(module)(source, task, max_tokens, hints or Hints()), []
    except Unusable as error:
        return None, [f"{source}: {mistake}" for mistake in error.args]
    except BuildError:
        raise
    except MemoryError:
        return None, [f"{source}: reading it as {kind} takes more memory than there is; free some"]
    except Exception as error:  # whatever a library makes of what is in a file
        return None, [
            f"{source}: cannot be read as {kind} ({in_short(error)}); "
            "check that it is whole and save it again"
        ]


PICKLES = "pytorch_model*.bin*"
Reader = Callable[[Path, Task, int | None, Hints], Source]
# What reads a file, by the end of its name: a module of ours, imported only then.
READERS = {
    ".onnx": "onnxsource",
    ".pt": "torchscript",
    ".ts": "torchscript",
    ".tflite": "tfsource",
    ".gguf": "gguf",
    ".arpa": "arpasource",
    ".arpa.gz": "arpasource",
}
# What a module of ours reads, in words.
KINDS = {
    "onnxsource": f"an {ONNX}",
    "torchscript": f"a {TORCHSCRIPT}",
    "tfsource": "a TensorFlow model",
    "gguf": f"a {GGUF}",
    "arpasource": f"an {ARPA}",
    "vectorfiles": "a file of word vectors",
    "huggingface": f"a {HUGGING_FACE}",
    "unclear": "a model",
}


def _read_by(module: str) -> Reader:
    reader: Reader = importlib.import_module(f"build.{module}").read
    return reader


def _module(source: Path, task: Task) -> str:
    """The module that reads a source of its kind; raises Unusable where that cannot be told or cannot be built."""
    if task is Task.WORD_VECTORS:  # whatever such a file is called, its content tells
        return "vectorfiles"
    if source.is_file():
        module = next((m for end, m in READERS.items() if source.name.endswith(end)), None)
        if module is None:
            raise Unusable(
                UNKNOWN_FILE.get(source.suffix, "not a model file that can be built; " + LOOKED_FOR)
            )
        return module
    if not source.is_dir():
        raise Unusable("not a folder; put a Hugging Face model there, or correct `source`")
    if (source / "saved_model.pb").is_file():
        return "tfsource"
    graphs, weights = list(source.glob("*.onnx")), list(source.glob("*.safetensors"))
    if graphs and weights:
        raise Unusable(
            f"holds {graphs[0].name} and {weights[0].name}; name the .onnx file as `source`, or move one away"
        )
    if graphs:
        return "onnxsource"
    return "huggingface" if weights or any(source.glob(PICKLES)) else "unclear"


def digest_of(folder: Path, *others: Path) -> str:
    """SHA-256 over the names and digests of the files a model is made of, and of files elsewhere."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in PARTS and path.is_file():
            digest.update(f"{path.relative_to(folder)}\0{file_sha256(path)}\n".encode())
    for path in others:
        digest.update(f"{path.name}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()
