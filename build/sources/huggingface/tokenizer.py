"""A tokenizer.json: its vocabulary, padding and normalizer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build.sources.huggingface.config import is_whole, read_json
from build.sources.source import Unusable
from contracts.problems import Code


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFile:
    """The parts of a tokenizer.json that checks look at; `vocabulary` has the id of every token."""

    name: str
    vocabulary: Mapping[str, int]
    padding: Mapping[str, Any]
    normalizer: Any

    @property
    def max_id(self) -> int:
        """Return the largest id of a token; -1 where there is no token."""
        return max(self.vocabulary.values(), default=-1)


def read_tokenizer(path: Path) -> TokenizerFile:
    """Return the parsed file; raise Unusable where it is damaged."""
    document = read_json(path)
    return TokenizerFile(
        name=path.name,
        vocabulary=_vocabulary(document, path.name),
        padding=document.get("padding") or {},
        normalizer=document.get("normalizer"),
    )


def _vocabulary(document: Mapping[str, Any], name: str) -> dict[str, int]:
    try:
        listed = (document.get("model") or {}).get("vocab") or {}
        # A unigram model lists its tokens in the order of their ids.
        if not isinstance(listed, dict):
            listed = {str(entry[0]): i for i, entry in enumerate(listed)}
        added = {str(t["content"]): t["id"] for t in document.get("added_tokens") or ()}
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise Unusable(
            Code.FILE_DAMAGED, f"{name} has no readable vocabulary; save the tokenizer again"
        ) from error
    ids: dict[str, int] = {**listed, **added}
    token = next((token for token, place in ids.items() if not is_whole(place)), None)
    if token is not None:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"{name} has {ids[token]!r} as the id of {token!r}, where a whole number has to be; "
            "save the tokenizer again",
        )
    return ids
