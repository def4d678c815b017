"""Sources that were found usable: one class for each way in which a model is built."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from build.tasks.description import TaskDescription
from contracts.manifest import file_sha256
from contracts.problems import Code, Problem

# Suffixes of the files that make up a model. Others, such as README.md or a training log, leave its digest as it is.
PARTS = {
    ".json",
    ".jinja",
    ".safetensors",
    ".bin",
    ".txt",
    ".model",
    ".spm",
    ".onnx",
    ".data",
    ".onnx_data",
    ".pt",
    ".arpa",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """A dense layer of sentence-transformers, applied to a text's vector; its weights lie in the folder `place`."""

    place: str
    activation: str
    pickled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """The pooling of token vectors into a text's vector, as sentence-transformers does it.

    `modes` are joined by a plus, as the vectors are concatenated; `dense` layers follow, then the scaling to length 1.
    """

    modes: str
    dense: tuple[Dense, ...] = ()
    normalize: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    """Facts that the build reads of every source.

    `kind` names the format, `path` is the folder or file. `digest` covers every file of the model. `weights` is their
    number, 0 where the files do not state it. `asked_tokens` and `asked_labels` are the user's own max_tokens and
    labels, empty where the files alone decide. `details` are for the serving code (see Manifest). `tools` are versions
    of tools, besides those of every build, that decide the bytes of the graph. `notes` are for the user, such as
    settings that are not known.
    """

    kind: str
    path: Path
    task: TaskDescription
    digest: str
    weight_bytes: int
    weights: int = 0
    max_tokens: int
    asked_tokens: int | None = None
    asked_labels: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    tools: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def batchable(self) -> bool:
        """Return whether texts may run together."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tokenized(_Common):
    """A source whose texts become tokens by the `tokenizer` file that came with it.

    `tokenizer_changes` are the values at the top of that file which other files of the model change; a build writes the
    changed file before anything else. `heads` and `hidden` help to fuse attention, and are 0 where they are unknown.
    `pooling` is set only where the vectors of tokens have to be pooled.
    """

    tokenizer: Path
    tokenizer_changes: Mapping[str, Any] = field(default_factory=dict)
    heads: int = 0
    hidden: int = 0
    pooling: Pooling | None = None
    pad_token_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformersSource(_Tokenized):
    """A Hugging Face folder. Weights that are `pickled` have to be converted to safetensors first.

    `inner` is the folder within it that the model without its pooling lies in, "" for the folder itself.
    """

    pickled: bool = False
    inner: str = ""

    @property
    def folder(self) -> Path:
        """Return the folder of the model, with its pooling if it has some."""
        return self.path

    @property
    def model_folder(self) -> Path:
        """Return the folder with the weights and the config.json of the model without its pooling."""
        return self.path / self.inner


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSource(_Tokenized):
    """One bare graph: ONNX, TorchScript, TensorFlow SavedModel or TFLite.

    `inputs` are our names of its inputs, in its order. `removable_activation` is the softmax or sigmoid at its end
    that is left out, "" where there is none. `one_text` means that its batch is fixed at 1.
    """

    inputs: tuple[str, ...]
    quantized: bool = False
    removable_activation: str = ""
    one_text: bool = False

    @property
    def folder(self) -> Path:
        """Return the folder that the graph lies in."""
        return self.path.parent

    @property
    def batchable(self) -> bool:
        """Return whether texts may run together: not where padding would be read as a part of them."""
        # A graph of a fixed length was trained with its padding in place, so it needs no mask.
        masked = "attention_mask" in self.inputs or "length" in self.details
        return masked and not self.one_text and not self.quantized


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufSource(_Common):
    """A GGUF file, which is unpacked to a Hugging Face folder first; `stored` names the types of its weights."""

    stored: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSource(_Common):
    """A file of n-grams or of word vectors, which has neither a graph nor a tokenizer of its own."""


# Sources that come with a tokenizer.json and are exported as they are.
TokenizedSource = TransformersSource | GraphSource
Source = TransformersSource | GraphSource | GgufSource | TableSource


class Unusable(Exception):
    """A source that cannot be built: one problem, or all that were found together."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.problems: tuple[Problem, ...] = (Problem(code=code, message=message),)

    @classmethod
    def listing(cls, problems: Sequence[Problem]) -> Self:
        """Return one error for all of the problems, of which there is at least one."""
        error = cls(problems[0].code, "; ".join(map(str, problems)))
        error.problems = tuple(problems)
        return error


def digest_of(folder: Path | None, *others: Path) -> str:
    """Return the SHA-256 over the names and digests of a folder's model files, if one is given, and of other files."""
    named = [(path.name, path) for path in others]
    if folder:
        parts = [p for p in sorted(folder.rglob("*")) if p.suffix in PARTS and p.is_file()]
        named = [(str(part.relative_to(folder)), part) for part in parts] + named
    digest = hashlib.sha256()
    # Names count: two shards that are swapped make another model.
    for name, path in named:
        digest.update(f"{name}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()
