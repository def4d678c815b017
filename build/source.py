"""A Hugging Face folder: what it holds, what it says of itself, and whether it can be built."""

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.manifest import file_sha256
from contracts.tasks import Task

# What a transformers tokenizer says when it has no limit of its own is a number around 1e30.
NO_LIMIT = 1_000_000
ARCHITECTURES = {
    Task.TEXT_CLASSIFICATION: "ForSequenceClassification",
    Task.FEATURE_EXTRACTION: "Model",
}
POOLING = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source that was found usable. `digest` covers every file a model is made of."""

    folder: Path
    task: Task
    digest: str
    weight_bytes: int
    model_type: str
    heads: int
    hidden: int
    max_tokens: int
    labels: tuple[str, ...] = ()
    pooling: str = ""
    normalize: bool = False
    pad_token_id: int = 0


class _Unusable(Exception):
    """One thing that makes a source unusable."""


def inspect(folder: Path, task: Task, max_tokens: int | None) -> tuple[Source | None, list[str]]:
    """The source, or every mistake that was found in it."""
    if not folder.is_dir():
        return None, [
            f"{folder}: not a folder; put a Hugging Face model there, or correct `source`"
        ]
    mistakes = []
    needed = ("config.json", "tokenizer.json", "model.safetensors")
    for name in needed:
        if not (folder / name).is_file():
            mistakes.append(
                f"{folder}: no {name}; save the model with `save_pretrained` and a fast tokenizer"
            )
    if mistakes:
        return None, mistakes
    try:
        _check_weights(folder / "model.safetensors")
        return _read(folder, task, max_tokens), []
    except _Unusable as error:
        return None, [f"{folder}: {error}"]


def digest_of(folder: Path) -> str:
    """SHA-256 over the names and digests of the files a model is made of."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".json", ".safetensors", ".txt", ".model"} and path.is_file():
            digest.update(f"{path.relative_to(folder)}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise _Unusable(f"{path.name} cannot be read ({error}); save the model again") from error
    if not isinstance(document, dict):
        raise _Unusable(f"{path.name} is not a JSON object; save the model again")
    return document


def _optional(path: Path) -> dict[str, Any]:
    return _json(path) if path.is_file() else {}


def _check_weights(path: Path) -> None:
    """The file is as long as its header says. https://github.com/huggingface/safetensors#format"""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if length > size - 8:
            raise _Unusable("model.safetensors is cut short; copy it again")
        try:
            header = json.loads(file.read(length))
            end = max(
                (t["data_offsets"][1] for k, t in header.items() if k != "__metadata__"), default=0
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _Unusable("model.safetensors has no readable header; copy it again") from error
    if 8 + length + end != size:
        raise _Unusable(
            f"model.safetensors is {size} bytes but says {8 + length + end}; copy it again"
        )


def _read(folder: Path, task: Task, max_tokens: int | None) -> Source:
    config = _json(folder / "config.json")
    architecture = (config.get("architectures") or ["none"])[0]
    if not str(architecture).endswith(ARCHITECTURES[task]):
        raise _Unusable(
            f"its architecture is {architecture}, but {task} needs one that ends in "
            f"{ARCHITECTURES[task]}; correct `task`, or fine-tune a head for it"
        )
    _check_vocabulary(folder, config)
    pooling, normalize = _pooling(folder) if task is Task.FEATURE_EXTRACTION else ("", False)
    return Source(
        folder=folder,
        task=task,
        digest=digest_of(folder),
        weight_bytes=(folder / "model.safetensors").stat().st_size,
        model_type=str(config.get("model_type", "")),
        heads=int(config.get("num_attention_heads", 0)),
        hidden=int(config.get("hidden_size", 0)),
        max_tokens=_max_tokens(folder, config, max_tokens),
        labels=_labels(config) if task is Task.TEXT_CLASSIFICATION else (),
        pooling=pooling,
        normalize=normalize,
        pad_token_id=int(config.get("pad_token_id") or 0),
    )


def _check_vocabulary(folder: Path, config: dict[str, Any]) -> None:
    """Every token has a row in the embedding; a tokenizer of another model mostly has more."""
    tokenizer = _json(folder / "tokenizer.json")
    vocabulary = (tokenizer.get("model") or {}).get("vocab") or {}
    added = [int(token["id"]) for token in tokenizer.get("added_tokens") or ()]
    ids = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
    most, rows = max([*ids, *added], default=-1) + 1, int(config.get("vocab_size", 0))
    if rows and most > rows:
        raise _Unusable(
            f"tokenizer.json makes ids up to {most - 1}, but the embedding has {rows} rows; "
            "save the tokenizer that belongs to the model"
        )


def _labels(config: dict[str, Any]) -> tuple[str, ...]:
    names = config.get("id2label") or {}
    labels = tuple(str(names.get(str(i), "")) for i in range(len(names)))
    if len(labels) < 2 or not all(labels) or len(set(labels)) < len(labels):
        raise _Unusable("config.json has no complete `id2label`; name every label once, from 0 up")
    return labels


def _max_tokens(folder: Path, config: dict[str, Any], asked: int | None) -> int:
    limits = (
        _optional(folder / "sentence_bert_config.json").get("max_seq_length"),
        _optional(folder / "tokenizer_config.json").get("model_max_length"),
        config.get("max_position_embeddings"),
    )
    known = [int(limit) for limit in limits if limit and limit < NO_LIMIT]
    if not known and not asked:
        raise _Unusable(
            "says nowhere how many tokens it reads; give max_tokens in its tier's table"
        )
    most = min(known, default=asked or 0)
    if asked and asked > most:
        raise _Unusable(f"reads {most} tokens at most, but max_tokens asks for {asked}; lower it")
    return asked or most


def _pooling(folder: Path) -> tuple[str, bool]:
    """How sentence-transformers makes one vector of many, by the folder's own `modules.json`."""
    path = folder / "modules.json"
    if not path.is_file():
        raise _Unusable(
            "no modules.json, so how tokens become one vector is not known; save it with sentence-transformers"
        )
    modules = json.loads(path.read_text("utf-8"))
    kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise _Unusable(
            f"modules.json asks for {', '.join(kinds)}; only Transformer, Pooling and Normalize are known"
        )
    asked = _json(folder / modules[1]["path"] / "config.json")
    modes = [
        key for key, value in asked.items() if key.startswith("pooling_mode_") and value is True
    ]
    if len(modes) != 1 or modes[0] not in POOLING:
        raise _Unusable(f"pools by {', '.join(modes) or 'nothing'}; only mean and cls are known")
    return POOLING[modes[0]], kinds[-1] == "Normalize"
