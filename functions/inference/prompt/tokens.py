"""The prompt of a decoder: its tokens, cut or refused where they do not fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The tokens that a decoder starts from, and its fixed inputs; `tokens` is the number of the text's own.

    `text` are the tokens that an encoder read; a causal model has none.
    """

    ids: list[int]
    fixed: Mapping[str, Any]
    tokens: int
    truncated: bool
    text: Sequence[int] = ()


def truncate_prompt(encoding: Encoding, max_tokens: int, start: int) -> tuple[list[int], bool]:
    """Return the last tokens of a prompt, and whether any were dropped.

    The special tokens that the tokenizer puts in front stay there. An empty prompt becomes the start token.
    """
    ids: list[int] = encoding.ids or [start]
    if len(ids) <= max_tokens:
        return ids, False
    mask = encoding.special_tokens_mask
    # At least the last token of the text stays, whatever the tokenizer puts in front.
    lead = min(mask.index(0) if 0 in mask else 0, max_tokens - 1)
    return ids[:lead] + ids[len(ids) - max_tokens + lead :], True


def plain_tokenizer(path: Path) -> Tokenizer:
    """Open a tokenizer without padding or truncation: the limit of a prompt depends on the request."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
