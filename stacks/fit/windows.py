"""The tokens that a model reads, and those that each layer attends to: all before it, or those in a sliding window."""

from collections.abc import Callable
from typing import Any

from contracts.problems import Code
from stacks.fit.config import Config

FULL, SLIDING = "full_attention", "sliding_attention"
# Keys of models some of whose layers keep a state of their own, or attend in chunks.
HYBRID = (
    "attn_type_list",
    "layers_block_type",
    "hybrid_override_pattern",
    "full_attention_interval",
    "attention_chunk_size",
    "linear_attn_config",
)


# Of models that state no length: Falcon and BLOOM were trained on 2,048 tokens.
DEFAULT_CONTEXT = 2048
# The kinds of RoPE whose factor multiplies the length, as vLLM derives it.
STRETCHED = ("linear", "dynamic", "yarn")


def context(config: Config) -> int:
    """Return the most tokens of a request, with what RoPE is stretched by."""
    length = config.whole(
        "max_position_embeddings", "n_positions", "seq_length", default=DEFAULT_CONTEXT
    )
    rope = config.document.get("rope_scaling") or config.document.get("rope_parameters")
    if not isinstance(rope, dict) or rope.get("rope_type", rope.get("type")) not in STRETCHED:
        return length
    factor, original = rope.get("factor"), rope.get("original_max_position_embeddings")
    if not isinstance(factor, int | float) or isinstance(factor, bool) or factor < 1:
        config.refuse("rope_scaling", "has no `factor` of at least 1; give it as the model has it")
        return length
    return int((original if type(original) is int else length) * factor)


def windows(
    config: Config, count: int, slides: Callable[[int], bool], *, opt_in: bool = False
) -> tuple[int | None, ...]:
    """Return the window of each of so many layers, None for those that attend to everything.

    `slides` says which do where config.json has no `layer_types`. With `opt_in` none does unless `use_sliding_window`
    is true.
    """
    window = config.whole("sliding_window", default=0, minimum=0)
    types = config.words("layer_types")
    if not window or not config.flag("use_sliding_window", default=not opt_in):
        return (None,) * count
    if not types:
        return tuple(window if slides(i) else None for i in range(count))
    if len(types) != count:
        config.refuse("layer_types", f"names {len(types)} layers, where there are {count}")
    return tuple(window if kind == SLIDING else None for kind in types)


def check_hybrid(config: Config) -> None:
    """Refuse a model whose layers are not all attention with a KV cache."""
    document = config.document
    others = sorted(set(config.words("layer_types")) - {FULL, SLIDING})
    key = "layer_types" if others else next((key for key in HYBRID if _set(document.get(key))), "")
    if key:
        shown = f" ({', '.join(others)})" if others else ""
        config.refuse(
            key,
            f"says that some layers{shown} keep a state of their own or attend in chunks; the memory of such hybrid "
            "models is not computed, only that of full and sliding-window attention",
            Code.ARCHITECTURE_UNSUPPORTED,
        )


def _set(value: Any) -> bool:
    return value not in (None, False, 0, [], "")
