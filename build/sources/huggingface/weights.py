"""The weights in a Hugging Face folder: safetensors, or a pickle where the user allows it.

`unpickled` converts a pickle to safetensors, which are all that the rest of the build reads.
"""

import json
import math
import re
import shutil
import struct
from dataclasses import dataclass, replace
from pathlib import Path

from build.sources.huggingface.config import optional_json, read_json
from build.sources.huggingface.marian import folder as marian
from build.sources.huggingface.pickle_weights import convert
from build.sources.huggingface.stored_forms import FULL, packed_by
from build.sources.source import TransformersSource, Unusable
from contracts.problems import Code, Problem

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLE, PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
# Suffixes of the files copied along with unpickled weights: settings, tokenizers, and weights of other modules.
ALONG = {".json", ".txt", ".model", ".spm", ".safetensors"}


SAVE = "save the model with `save_pretrained` and a fast tokenizer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The weights of a folder: their size in bytes, and their number, 0 in a pickle, which has to be loaded first."""

    size: int
    count: int
    pickled: bool


def missing(folder: Path, *, pickle: bool) -> list[Problem]:
    """Return a problem for each file that has to be in the folder and is not."""
    problem = weights_problem(folder, pickle=pickle)
    return [*missing_settings(folder), *([problem] if problem else [])]


def missing_settings(folder: Path) -> list[Problem]:
    """Return a problem for each file besides the weights that has to be in the folder and is not."""
    tokenizer = marian.files_of(folder) if _is_marian(folder) else ("tokenizer.json",)
    return [
        Problem(code=Code.FILE_MISSING, message=f"no {name}; {SAVE}")
        for name in ("config.json", *tokenizer)
        if not (folder / name).is_file()
    ]


def _is_marian(folder: Path) -> bool:
    """Return whether the folder is of a Marian model; a config.json that is damaged is told by what needs it."""
    try:
        return marian.is_marian(optional_json(folder / "config.json"))
    except Unusable:
        return False


def weights_problem(folder: Path, *, pickle: bool) -> Problem | None:
    """Return the problem of a folder that has no weights that may be read; None where it has."""
    has_pickle = _has(folder, PICKLE, PICKLE_INDEX)
    if _has(folder, WEIGHTS, INDEX) or (pickle and has_pickle):
        return None
    if not has_pickle:
        return Problem(code=Code.FILE_MISSING, message=f"no {WEIGHTS}; {SAVE}")
    message = (
        f"no {WEIGHTS}; its weights are a pickle, which can run code when it is loaded; `pickle = true` in the "
        "model's table has the weights read and nothing run"
    )
    return Problem(code=Code.PICKLE_REFUSED, message=message)


def _has(folder: Path, *names: str) -> bool:
    return any((folder / name).is_file() for name in names)


def weights_of(folder: Path) -> Weights:
    """Return the weights of a folder that has some; raise Unusable where a file of them is missing or damaged."""
    if _has(folder, WEIGHTS, INDEX):
        checked = [check_weights(path) for path in _files(folder, WEIGHTS, INDEX)]
        size, count = (sum(column) for column in zip(*checked, strict=True))
        return Weights(size=size, count=count, pickled=False)
    size = sum(path.stat().st_size for path in _files(folder, PICKLE, PICKLE_INDEX))
    return Weights(size=size, count=0, pickled=True)


def _files(folder: Path, weights: str, index: str) -> list[Path]:
    """Return the one file, or the shards that an index names; raise Unusable for a shard outside of the folder."""
    if (folder / weights).is_file():
        return [folder / weights]
    places = read_json(folder / index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"{index} has no `weight_map` of tensors to files; save the model again",
        )
    # A name with a folder in it could lead anywhere on this machine.
    for name in places.values():
        if not isinstance(name, str) or Path(name).name != name:
            raise Unusable(
                Code.FILE_OUTSIDE, f"{index} names {name!r}, which is no file of the folder"
            )
    names = sorted(set(places.values()))
    for name in names:
        if not (folder / name).is_file():
            raise Unusable(
                Code.FILE_MISSING, f"{index} names {name}, which is not there; copy it again"
            )
    return [folder / name for name in names]


def check_weights(path: Path) -> tuple[int, int]:
    """Return the file's size in bytes and the number of its weights; raise Unusable unless it is whole.

    A file that was cut short by a download has a header that claims more bytes than there are.
    https://github.com/huggingface/safetensors#format
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)  # the length of the JSON header, little-endian
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if length > size - 8:
            raise Unusable(Code.FILE_DAMAGED, f"{path.name} is cut short; copy it again")
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
            numbers = sum(math.prod(tensor["shape"]) for tensor in header.values())
            packed = packed_by({name: str(tensor["dtype"]) for name, tensor in header.items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unusable(
                Code.FILE_DAMAGED, f"{path.name} has no readable header; copy it again"
            ) from error
    if 8 + length + end != size:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"{path.name} is {size} bytes but says {8 + length + end}; copy it again",
        )
    if packed:
        raise Unusable(
            Code.FORMAT_UNSUPPORTED,
            f"{path.name} has quantized weights, such as {packed}; {FULL}",
        )
    return size, numbers


def unpickled(source: TransformersSource, destination: Path) -> TransformersSource:
    """Return the source with its pickles as safetensors in a new folder, or itself without any; raise SourceError."""
    if not source.pickled:
        return source
    for path in sorted(source.folder.rglob("*")):
        pickle = re.fullmatch(r"pytorch_model.*\.bin", path.name)
        if not path.is_file() or not (pickle or path.suffix in ALONG):
            continue
        target = destination / path.relative_to(source.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not pickle:
            shutil.copyfile(path, target)
        elif not path.with_name(_renamed(path.name)).exists():
            convert(path, target.with_name(_renamed(path.name)))
    index = destination / source.inner / PICKLE_INDEX
    if index.is_file():
        document = read_json(index)
        names = {tensor: _renamed(name) for tensor, name in document["weight_map"].items()}
        index.with_name(INDEX).write_text(json.dumps({**document, "weight_map": names}), "utf-8")
        index.unlink()
    tokenizer = destination / source.inner / source.tokenizer.name
    return replace(source, path=destination, tokenizer=tokenizer)


def _renamed(name: str) -> str:
    return name.replace("pytorch_model", "model").replace(".bin", ".safetensors")
