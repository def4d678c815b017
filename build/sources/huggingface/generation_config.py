"""Start and end tokens and length limits of a model that generates text."""

from typing import Any

from build.sources.huggingface.checkpoint import Checkpoint
from build.sources.huggingface.config import optional_json

# The most tokens of an answer where nobody says otherwise.
NEW_TOKENS = 512


def details(checkpoint: Checkpoint, context: int) -> dict[str, Any]:
    """What a manifest has to say of a model that writes: `functions.inference.generation.GenerationConfig`.

    `context` is how many tokens it reads at most; of these, half may be its own.
    """
    config = checkpoint.config
    said = optional_json(checkpoint.folder / "generation_config.json")
    ends = said.get("eos_token_id", config.get("eos_token_id"))
    ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
    start = "decoder_start_token_id" if config.get("is_encoder_decoder") else "bos_token_id"
    starts = (said.get(start), config.get(start), *ends, 0)
    return {
        "context": context,
        "start_token_id": next(token for token in starts if token is not None),
        "eos_token_ids": ends,
        "max_new_tokens": new_tokens(context),
    }


def new_tokens(context: int) -> int:
    """The most tokens of an answer: half of the context at most, so that a prompt has room."""
    return min(NEW_TOKENS, context // 2)
