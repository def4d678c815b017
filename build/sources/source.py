"""What is to be built: a source that was found usable, whatever it was saved as."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from contracts.manifest import file_sha256
from contracts.problems import Code, Problem
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


class Unusable(Exception):
    """What makes a source unusable: one problem, or all that were found together."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.problems: tuple[Problem, ...] = (Problem(code=code, message=message),)

    @classmethod
    def listing(cls, problems: Sequence[Problem]) -> Self:
        """Return one error for all of the problems, of which there is at least one."""
        error = cls(problems[0].code, "; ".join(map(str, problems)))
        error.problems = tuple(problems)
        return error


def digest_of(folder: Path, *others: Path) -> str:
    """SHA-256 over the names and digests of the files a model is made of, and of files elsewhere."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in PARTS and path.is_file():
            digest.update(f"{path.relative_to(folder)}\0{file_sha256(path)}\n".encode())
    for path in others:
        digest.update(f"{path.name}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()
