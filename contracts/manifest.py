"""Sealed artefacts: a folder whose manifest names every file in it by its SHA-256.

The digest covers the manifest itself, and through it every sealed byte. `read_manifest` checks the digest,
`check_sizes` the size of every file, `verify` every byte as well. All of the folder is deployed; the user's rows are no
part of it (`build/proof/golden.py`).
"""

import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self, get_args, get_origin, get_type_hints

from contracts.errors import TurnoutError
from contracts.problems import Code
from contracts.tasks import Runtime, Task, Tier

# Files of an artefact: the manifest, the graph of a model that has one graph, and its tokenizer.
MANIFEST, MODEL, TOKENIZER = "manifest.json", "model.onnx", "tokenizer.json"
# The template of a model that answers chats, and the key of the details that has its variables.
CHAT_TEMPLATE, CHAT = "chat_template.jinja", "chat"
# The library of operators of its own that an artefact brings for each architecture that it may run on.
KERNELS = "kernels-{machine}.so"
# The version of the format: code of another version refuses an artefact instead of misreading it. Folders of version 1
# hold rows of the user's.
SCHEMA = 2
VERSION_CHARS = 12
# The key of `details` that has how many dimensions, fewer than all, the model's vectors may be cut to.
SHORTER = "shorter_dimensions"
# The key of `details` that has the digest of weights in the deployment's bucket.
PUSHED = "weights"
# The key of `details` that has the runtime of the graph, where that is not ONNX Runtime.
RUNTIME = "runtime"


def kernels_of(machine: str) -> str:
    """Return the name of the library for an architecture, as `platform.machine` names it."""
    return KERNELS.format(machine=machine)


def kernels_in(folder: Path, system: str = sys.platform) -> Path | None:
    """Return the path of a folder's library for this machine; None if it has none, as on any system but Linux."""
    path = folder / kernels_of(platform.machine())
    return path if system == "linux" and path.exists() else None


class BrokenArtefact(TurnoutError):
    """A sealed folder does not hold what its manifest says."""

    code = Code.ARTEFACT_BROKEN


class OutdatedArtefact(BrokenArtefact):
    """A folder was sealed in another version of the format."""

    code = Code.ARTEFACT_OUTDATED


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """One file of an artefact; `path` is relative to its folder."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The description of an artefact for the code that serves it.

    `digest` is the SHA-256 of the canonical manifest without itself. `build_key` is the digest of what went
    into the build (spec, source, tool versions): it says whether a build is current, not what came out.
    `batches` says that texts may run together, because no answer depends on its neighbours.
    `details` are further JSON values for the model's family, `provenance` where the artefact comes from and what
    was measured of it.
    """

    model: str
    task: Task
    tier: Tier
    precision: str
    recipe: str
    max_tokens: int
    labels: tuple[str, ...] = ()
    dimensions: int = 0
    pooling: str = ""
    normalize: bool = False
    pad_token_id: int = 0
    pad_type_id: int = 0
    batches: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    source_digest: str = ""
    build_key: str = ""
    toolchain: Mapping[str, str]
    files: tuple[SealedFile, ...] = ()
    digest: str = ""
    schema: int = SCHEMA

    @property
    def version(self) -> str:
        """Return the first characters of the digest, which answers and registry rows call the artefact's version."""
        return self.digest[:VERSION_CHARS]

    @property
    def pushed(self) -> str:
        """Return the digest of the weights that `turnout push` put into the deployment's bucket; empty without."""
        return str(self.details.get(PUSHED, ""))

    @property
    def runtime(self) -> str:
        """Return the runtime that the graph was made for and proved with."""
        return str(self.details.get(RUNTIME, Runtime.ONNX_RUNTIME))

    @property
    def has_kernels(self) -> bool:
        """Return whether it brings libraries of operators, which run on Linux alone."""
        before, after = KERNELS.split("{machine}")
        return any(f.path.startswith(before) and f.path.endswith(after) for f in self.files)

    @property
    def chat(self) -> bool:
        """Return whether the model answers chats."""
        return CHAT in self.details

    @property
    def shorter_dimensions(self) -> tuple[int, ...]:
        """Return the numbers of dimensions below all that were proved, and callers may ask for."""
        return tuple(self.details.get(SHORTER, ()))

    @property
    def size(self) -> int:
        """Return the bytes of all sealed files."""
        return sum(file.size for file in self.files)

    def sealed(self) -> Self:
        """Return the manifest with its digest."""
        return replace(self, digest=sealed_digest(self))

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a manifest; raise BrokenArtefact for a text that is no manifest of this schema."""
        try:
            document = json.loads(text)
            schema = document.get("schema")
            if not isinstance(schema, int):
                raise BrokenArtefact(f"its schema {schema!r} is no number")
            if schema != SCHEMA:
                raise OutdatedArtefact(
                    f"it is sealed in version {schema!r} of the format, and this release deploys version {SCHEMA}, "
                    "which holds none of your rows"
                )
            document["files"] = tuple(SealedFile(**file) for file in document["files"])
            document["labels"] = tuple(document["labels"])
            document["task"], document["tier"] = Task(document["task"]), Tier(document["tier"])
            manifest = cls(**document)
        except KeyError as error:
            raise BrokenArtefact(f"it has no {error}") from error
        # AttributeError: the document is a list or a number, which has no `get`.
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise BrokenArtefact(f"it is not a manifest: {error}") from error
        _check_kinds(manifest)
        for file in manifest.files:
            _check_kinds(file)
            _check_place(file.path)
        return manifest


def _check_kinds(part: Manifest | SealedFile) -> None:
    """Raise BrokenArtefact if a value is not of the type that the code that serves relies on."""
    for key, kind in get_type_hints(type(part)).items():
        if not _fits(value := getattr(part, key), kind):
            raise BrokenArtefact(f"it is not a manifest: {value!r} cannot be its {key}")


def _fits(value: object, kind: Any) -> bool:
    """Return True if a value is of a field's annotated type."""
    of, parts = get_origin(kind) or kind, get_args(kind)
    if of is tuple:
        return isinstance(value, tuple) and all(_fits(one, parts[0]) for one in value)
    if of is Mapping:
        return isinstance(value, Mapping) and all(_fits(one, parts[1]) for one in value.values())
    # bool is a subclass of int.
    if of is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return of is Any or isinstance(value, of)


def _check_place(path: str) -> None:
    """Raise BrokenArtefact for a path that leads out of the folder."""
    if path.startswith("/") or {"", ".", ".."} & set(path.split("/")):
        raise BrokenArtefact(f"it names the file {path!r}, which is not within its folder")


def sealed_digest(sealed: Any) -> str:
    """Return the SHA-256 of a dataclass as canonical JSON, all of it but its own `digest`."""
    # Sorted keys and fixed separators: the same values have the same digest wherever it is computed.
    document: dict[str, Any] = asdict(replace(sealed, digest=""))
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed_files(folder: Path, paths: Iterable[str]) -> tuple[SealedFile, ...]:
    """Return the manifest's entries for the files at `paths` in `folder`, sorted by path."""
    return tuple(
        SealedFile(
            path=path, sha256=file_sha256(folder / path), size=(folder / path).stat().st_size
        )
        # A folder lists its files in an order of its own, which would change the digest.
        for path in sorted(paths)
    )


def read_manifest(folder: Path) -> Manifest:
    """Return the folder's manifest after checking its digest, but not its files; raise BrokenArtefact."""
    try:
        manifest = Manifest.from_json((folder / MANIFEST).read_text("utf-8"))
        digest = sealed_digest(manifest)
    except BrokenArtefact as error:
        raise type(error)(f"{folder / MANIFEST}: {error}; build the model again") from error
    except (OSError, UnicodeError) as error:
        raise BrokenArtefact(
            f"{folder} holds no readable {MANIFEST}; build the model again"
        ) from error
    if digest != manifest.digest:
        raise BrokenArtefact(
            f"{folder / MANIFEST} was changed after it was sealed; build the model again"
        )
    return manifest


def check_sizes(folder: Path) -> Manifest:
    """Return the folder's manifest after checking that every sealed file is there whole, by its size alone.

    For a folder whose bytes were verified when it got to where it is, and that nobody writes to. Raise BrokenArtefact.
    """
    manifest = read_manifest(folder)
    for file in manifest.files:
        _check_size(folder / file.path, file)
    return manifest


def verify(folder: Path) -> Manifest:
    """Return the folder's manifest after checking every sealed file; raise BrokenArtefact."""
    manifest = read_manifest(folder)
    for file in manifest.files:
        verify_file(folder / file.path, file)
    return manifest


def verify_file(path: Path, sealed: SealedFile) -> None:
    """Raise BrokenArtefact unless the file at `path` has the sealed bytes."""
    # The size is compared first, because hashing a large file takes seconds.
    _check_size(path, sealed)
    if file_sha256(path) != sealed.sha256:
        raise _changed(path)


def _check_size(path: Path, sealed: SealedFile) -> None:
    """Raise BrokenArtefact unless there is a file at `path` of the sealed size."""
    if not path.is_file():
        raise BrokenArtefact(f"{path} is missing; build the model again")
    if path.stat().st_size != sealed.size:
        raise _changed(path)


def _changed(path: Path) -> BrokenArtefact:
    return BrokenArtefact(f"{path} is not the file that was sealed; build the model again")
