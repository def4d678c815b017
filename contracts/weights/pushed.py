"""Weights in the deployment's bucket: their files, the digest over these, and where they lie.

`turnout push` writes them, the stacks name them, and the prober looks for their marker. What lies below a digest never
changes: other bytes have another digest.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from contracts.manifest import SealedFile

# The list of the files, sealed beside the settings of the model.
LIST = "weights.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """All files that a server of a pushed model loads, sorted by path; `origin` says where they came from."""

    files: tuple[SealedFile, ...]
    origin: str = ""

    @property
    def digest(self) -> str:
        """Return the SHA-256 over paths, sizes and digests, wherever the files came from."""
        lines = (f"{file.sha256} {file.size} {file.path}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(file.size for file in self.files)

    def to_json(self) -> str:
        return json.dumps({"digest": self.digest, **asdict(self)}, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        document: dict[str, Any] = json.loads(text)
        return cls(
            files=tuple(SealedFile(**file) for file in document["files"]),
            origin=document["origin"],
        )


def prefix_of(digest: str) -> str:
    """Return what the keys of weights begin with."""
    return f"{digest}/"


def marker_of(digest: str) -> str:
    """Return the key of the marker, which is written once all files are there.

    It is not below their prefix, since a container is given everything that is.
    """
    return f"markers/{digest}.json"
