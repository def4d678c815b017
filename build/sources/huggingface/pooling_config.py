"""How a sentence-transformers folder makes one vector of a text: by the `modules.json` in it and what this names."""

import json
from pathlib import Path
from typing import Any

from build.sources.huggingface.checkpoint import Checkpoint
from build.sources.huggingface.config import optional_json, read_json
from build.sources.huggingface.weights import weights_of, weights_problem
from build.sources.source import Dense, Pooling, Unusable
from contracts.problems import Code

# Keys of the older form in the order in which their vectors are joined, and the names of the newer.
MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "Sigmoid")


def read_pooling(checkpoint: Checkpoint, *, pickle: bool = False) -> Pooling:
    """Raises Unusable for what is not known to be served as sentence-transformers would."""
    folder = checkpoint.folder
    path = folder / "modules.json"
    if not path.is_file():
        raise Unusable(
            Code.POOLING_UNSUPPORTED,
            "no modules.json, so how tokens become one vector is not known; save it with sentence-transformers",
        )
    modules = _modules(path)
    kinds = [kind for kind, _ in modules]
    ending = kinds[2:-1] if kinds[-1:] == ["Normalize"] else kinds[2:]
    if kinds[:2] != ["Transformer", "Pooling"] or set(ending) - {"Dense"}:
        raise Unusable(
            Code.POOLING_UNSUPPORTED,
            f"modules.json asks for {', '.join(kinds)}; known are Transformer, Pooling, then any Dense, then Normalize",
        )
    _check_texts(checkpoint)
    return Pooling(
        modes=_modes(read_json(_within(folder, modules[1][1]) / "config.json")),
        dense=tuple(_dense(_within(folder, p), pickle) for k, p in modules if k == "Dense"),
        normalize=kinds[-1] == "Normalize",
    )


def _modules(path: Path) -> list[tuple[str, str]]:
    """Kind and folder of each module; those that do nothing but in training are left out."""
    try:
        found = json.loads(path.read_text("utf-8"))
        modules = [(str(m["type"]).rsplit(".", 1)[-1], str(m.get("path", ""))) for m in found]
    except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise Unusable(
            Code.FILE_DAMAGED, f"modules.json cannot be read ({error}); save the model again"
        ) from error
    return [module for module in modules if module[0] != "Dropout"]


def _within(folder: Path, place: str) -> Path:
    if not (folder / place).resolve().is_relative_to(folder.resolve()):
        raise Unusable(
            Code.FILE_OUTSIDE, f"modules.json names {place!r}, which is outside of the folder"
        )
    return folder / place


def _modes(config: dict[str, Any]) -> str:
    """The vectors that are joined, with a plus between them."""
    asked = config.get("pooling_mode") or [m for key, m in MODES.items() if config.get(key) is True]
    modes = [asked] if isinstance(asked, str) else list(asked)
    if not modes or set(modes) - set(MODES.values()):
        raise Unusable(
            Code.POOLING_UNSUPPORTED,
            f"pools by {', '.join(map(str, modes)) or 'nothing'}; known are {', '.join(MODES.values())}",
        )
    return "+".join(modes)


def _dense(folder: Path, pickle: bool) -> Dense:
    config = read_json(folder / "config.json")
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
    return Dense(place=folder.name, activation=activation, pickled=weights_of(folder)[2])


def _check_texts(checkpoint: Checkpoint) -> None:
    """What sentence-transformers does to a text before the tokenizer does, which is what is served, sees it."""
    settings = optional_json(checkpoint.folder / "config_sentence_transformers.json")
    prompts, name = settings.get("prompts") or {}, settings.get("default_prompt_name")
    if name and (prompt := prompts.get(name)):
        raise Unusable(
            Code.POOLING_UNSUPPORTED,
            f"puts {prompt!r} before every text, by its default prompt, which is not done here; set "
            "`default_prompt_name` to null in config_sentence_transformers.json and send it with your texts",
        )
    lower = checkpoint.sentence_config.get("do_lower_case")
    if lower and not _lowers(checkpoint.tokenizer.normalizer):
        raise Unusable(
            Code.POOLING_UNSUPPORTED,
            "writes texts in small letters by `do_lower_case` in sentence_bert_config.json, which tokenizer.json "
            "does not; add a Lowercase normalizer to it",
        )


def _lowers(normalizer: Any) -> bool:
    match normalizer:
        case {"type": "Lowercase"} | {"lowercase": True}:
            return True
        case {"normalizers": list(inner)}:
            return any(_lowers(one) for one in inner)
    return False
