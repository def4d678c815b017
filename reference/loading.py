"""Models and tokenizers as transformers loads them: in float32, from the folder alone, every weight from its files."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from reference.messages import WeightsIncomplete

# Names of weights that a message shows.
MAX_NAMES = 3
# The number of a layer within a weight's name.
LAYER = re.compile(r"\.\d+\.")
# Tokenizers without a limit have a number like 1e30 for it.
MAX_TRUSTED_LIMIT = 1 << 24
# The modules that hold a vector for each position, by the last part of their names.
POSITIONS = ("position_embeddings", "wpe", "embed_positions")
# Options of every `from_pretrained`.
LOCAL: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def load_tokenizer(folder: str) -> Any:
    """Return the folder's tokenizer, of the class that transformers chooses."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, **LOCAL)


def load_model(auto: Any, folder: str, *, unused: tuple[str, ...] = ()) -> Any:
    """Return the folder's model of the class `auto`, in float32.

    Raise WeightsIncomplete with the names of missing and surplus weights: transformers fills the first with random
    numbers and drops the others. Those that begin with one of `unused` may be missing, as nothing reads them.
    """
    model, info = auto.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, **LOCAL
    )
    check_weights(model, info, unused)
    return model.eval().float()


def check_weights(model: Any, info: Mapping[str, Any], unused: tuple[str, ...]) -> None:
    """Raise WeightsIncomplete unless every weight has its place and every place its weight."""
    missing = [name for name in sorted(info["missing_keys"]) if not name.startswith(unused)]
    known = tuple({LAYER.sub(".N.", name) for name in model.state_dict() if LAYER.search(name)})
    # A head of another task may be left over, but a layer is not: config.json then states fewer than there are.
    surplus = [
        name for name in sorted(info["unexpected_keys"]) if LAYER.sub(".N.", name).endswith(known)
    ]
    problems = []
    if missing:
        problems.append(
            f"its weights lack {some_of(missing)}, which {type(model).__name__} has; save the model again, or "
            "correct `architectures` in config.json"
        )
    if surplus:
        problems.append(
            f"its weights have {some_of(surplus)}, which config.json has no place for; correct its number of layers, "
            "or save the model again"
        )
    if problems:
        raise WeightsIncomplete("; ".join(problems))


def some_of(names: Sequence[str]) -> str:
    """Return the first of many names, and the number of the rest."""
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def limit_tokens(tokenizer: Any, model: Any, max_tokens: int | None) -> int:
    """Set and return the number of tokens that texts are truncated to: the smallest that is known.

    The library's own limits are the tokenizer's and the number of positions that the model has; `max_tokens` is the
    user's. A model without any reads texts whole.
    """
    known = (tokenizer.model_max_length, positions(model), max_tokens)
    limits = [int(limit) for limit in known if limit and limit < MAX_TRUSTED_LIMIT]
    tokenizer.model_max_length = min(limits, default=MAX_TRUSTED_LIMIT)
    return int(tokenizer.model_max_length)


def positions(model: Any) -> int | None:
    """Return the number of tokens that the model has positions for; None where its config says nothing.

    RoBERTa's positions begin behind that of the padding, BART's have an offset.
    """
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in POSITIONS and isinstance(module, torch.nn.Embedding):
            padding = -1 if module.padding_idx is None else module.padding_idx
            return int(module.num_embeddings) - max(padding + 1, getattr(module, "offset", 0))
    config = model.config.get_text_config()
    limit: int | None = getattr(config, "max_position_embeddings", None)
    return limit


def has_folder(folder: str, name: str) -> bool:
    """Return whether the folder has a file of that name."""
    return (Path(folder) / name).is_file()


def fed(inputs: Mapping[str, Any]) -> dict[str, list[list[int]]]:
    """Return the whole numbers that a model is given, by the names of its inputs."""
    return {
        name: value.tolist()
        for name, value in inputs.items()
        if isinstance(value, torch.Tensor) and value.dtype == torch.int64 and value.dim() == 2
    }


def margin_of(logits: Any) -> float:
    """Return the difference between the largest of logits [n] and the one after it; a single one has no rival."""
    if logits.shape[-1] < 2:
        return float("1e9")
    best, second = logits.float().topk(2).values.tolist()
    # Minus infinity stands for what a setting forbids, which is no rival either.
    return min(float(best - second), 1e9)
