"""The pooling of a sentence-transformers folder, by its modules.json and the folders that this names."""

import json
from pathlib import Path
from typing import Any

from build.sources.huggingface.config import read_json
from build.sources.huggingface.folder_files import FolderFiles
from build.sources.huggingface.tokenizer_parts.normalizers import LOWERCASE
from build.sources.huggingface.weights import weights_of, weights_problem
from build.sources.source import Dense, Pooling, Unusable
from contracts.problems import Code

# The keys of pooling modes in older configs, in the order in which sentence-transformers concatenates their vectors,
# with the names that newer configs have for them.
# https://github.com/UKPLab/sentence-transformers/blob/master/sentence_transformers/models/Pooling.py
MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "Sigmoid")


def read_pooling(files: FolderFiles, *, pickle: bool = False) -> Pooling:
    """Return how token vectors become a text's vector; raise Unusable for modules that are not known."""
    folder = files.folder
    path = folder / "modules.json"
    if not path.is_file():
        raise Unusable(
            Code.POOLING_UNSUPPORTED,
            "no modules.json, so how tokens become one vector is not known; save it with sentence-transformers",
        )
    if "message" in (files.sentence_config.get("modality_config") or {}):
        raise Unusable(
            Code.SETTING_UNSUPPORTED,
            f"`modality_config` in {files.sentence_config_name} has every text put into a chat template, which is not "
            "served for embeddings; load the model with a `modality_config` of text alone, and save it again",
        )
    if files.sentence_config.get("processing_kwargs"):
        raise Unusable(
            Code.SETTING_UNSUPPORTED,
            f"`processing_kwargs` in {files.sentence_config_name} changes how texts are tokenized, which is not served "
            "for embeddings; put it into tokenizer_config.json",
        )
    modules = read_modules(path)
    kinds = [kind for kind, _ in modules]
    ending = kinds[2:-1] if kinds[-1:] == ["Normalize"] else kinds[2:]
    if kinds[:2] != ["Transformer", "Pooling"] or set(ending) - {"Dense"}:
        raise Unusable(
            Code.POOLING_UNSUPPORTED,
            f"modules.json lists {', '.join(kinds)}; known are Transformer, Pooling, then any Dense, then Normalize",
        )
    return Pooling(
        modes=_modes(read_json(within(folder, modules[1][1]) / "config.json")),
        dense=tuple(_dense(within(folder, p), pickle) for k, p in modules if k == "Dense"),
        normalize=kinds[-1] == "Normalize",
    )


def inner_folder(folder: Path, *, pooled: bool) -> str:
    """Return the folder within that has the model without its pooling, as older releases had it; "" where none has.

    Models of tasks that are not `pooled` have none. Raise Unusable for one outside.
    """
    if not pooled:
        return ""
    path = folder / "modules.json"
    modules = read_modules(path) if path.is_file() else []
    place = next((place for kind, place in modules[:1] if kind == "Transformer"), "")
    return within(folder, place).relative_to(folder).as_posix() if place not in ("", ".") else ""


def read_modules(path: Path) -> list[tuple[str, str]]:
    """Return the class and folder of each module but Dropout, which does nothing outside of training."""
    try:
        listed = json.loads(path.read_text("utf-8"))
        modules = [(str(m["type"]).rsplit(".", 1)[-1], str(m.get("path", ""))) for m in listed]
    except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise Unusable(
            Code.FILE_DAMAGED, f"modules.json cannot be read ({error}); save the model again"
        ) from error
    return [module for module in modules if module[0] != "Dropout"]


def within(folder: Path, place: str) -> Path:
    """Return the folder of a module; raise Unusable where it lies outside of the model's."""
    if not (folder / place).resolve().is_relative_to(folder.resolve()):
        raise Unusable(
            Code.FILE_OUTSIDE, f"modules.json names {place!r}, which is outside of the folder"
        )
    return folder / place


def _modes(config: dict[str, Any]) -> str:
    """Return the pooling modes, joined by a plus; the mean where the config names none, as in the library."""
    named = config.get("pooling_mode") or [m for key, m in MODES.items() if config.get(key)]
    modes = [named] if isinstance(named, str) else list(named) or ["mean"]
    if set(modes) - set(MODES.values()):
        raise Unusable(
            Code.POOLING_UNSUPPORTED,
            f"pools by {', '.join(map(str, modes))}; known are {', '.join(MODES.values())}",
        )
    return "+".join(modes)


def _dense(folder: Path, pickle: bool) -> Dense:
    config = read_json(folder / "config.json")
    # Tanh is the default of sentence-transformers' Dense.
    activation = str(config.get("activation_function", "Tanh")).rsplit(".", 1)[-1]
    other = {"module_input_name", "module_output_name"} & {
        key for key, value in config.items() if value not in (None, "sentence_embedding")
    }
    if activation not in ACTIVATIONS or config.get("use_residual") or other:
        raise Unusable(
            Code.POOLING_UNSUPPORTED,
            f"{folder.name} is a Dense layer with {activation} and more than is known; known are "
            f"{', '.join(ACTIVATIONS)} over the sentence's vector, without a residual",
        )
    if problem := weights_problem(folder, pickle=pickle):
        raise Unusable.listing([problem.within(folder.name)])
    return Dense(place=folder.name, activation=activation, pickled=weights_of(folder).pickled)


def lowercase(files: FolderFiles) -> dict[str, Any]:
    """Return the normalizer of a model whose texts are written in small letters first, as `do_lower_case` has it."""
    normalizer = files.tokenizer.normalizer
    if not files.sentence_config.get("do_lower_case") or _lowers(normalizer):
        return {}
    many = isinstance(normalizer, dict) and normalizer.get("type") == "Sequence"
    steps = normalizer["normalizers"] if many else [normalizer] if normalizer else []
    return {"normalizer": {"type": "Sequence", "normalizers": [LOWERCASE, *steps]}}


def _lowers(normalizer: Any) -> bool:
    match normalizer:
        case {"type": "Lowercase"} | {"lowercase": True}:
            return True
        case {"normalizers": list(inner)}:
            return any(_lowers(one) for one in inner)
    return False
