"""Start and end tokens and length limits of a model that generates text."""

from typing import Any

from build.sources.huggingface.config import optional_json
from build.sources.huggingface.folder_files import FolderFiles

# The most new tokens that a request may ask for; how many it gets by default is in contracts/api/text_generation.py.
NEW_TOKENS_LIMIT = 512


def details(files: FolderFiles, context: int) -> dict[str, Any]:
    """Return a generator's details for the manifest: `functions.inference.generation.GenerationConfig`.

    `context` is the largest number of tokens it reads, prompt and generated tokens together. Keys of
    generation_config.json come before those of config.json, as in transformers.
    """
    config = files.config
    generation = optional_json(files.folder / "generation_config.json")
    ends = generation.get("eos_token_id", config.get("eos_token_id"))
    ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
    start = "decoder_start_token_id" if config.get("is_encoder_decoder") else "bos_token_id"
    starts = (generation.get(start), config.get(start), *ends, 0)
    return {
        "context": context,
        "start_token_id": next(token for token in starts if token is not None),
        "eos_token_ids": ends,
        "max_new_tokens": new_tokens(context),
    }


def new_tokens(context: int) -> int:
    """Return the largest number of tokens to generate: half of the context at most, so that a prompt has room."""
    return min(NEW_TOKENS_LIMIT, context // 2)
