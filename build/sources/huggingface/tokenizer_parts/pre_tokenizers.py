"""The pre-tokenizers that classes of transformers make: where a text is split into words."""

from typing import Any

from build.sources.huggingface.tokenizer_parts.given import Given

SPACE = "▁"
# Qwen2Tokenizer's own pattern.
QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# GemmaTokenizer's own.
BEHIND_SPACES = {
    "type": "Split",
    "pattern": {"String": " "},
    "behavior": "MergedWithPrevious",
    "invert": False,
}


def _sequence(*steps: Any) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(steps)}


def metaspace(scheme: str, split: bool = True) -> dict[str, Any]:
    """Return what marks spaces by a character of their own, as SentencePiece does."""
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": split}


def begins_with_space(given: Given, default: bool = True) -> bool:
    """Return whether a space is put before the first word; null is as good as no key."""
    found = given.settings.get("add_prefix_space")
    return default if found is None else bool(found)


def _scheme(given: Given, without: str = "never") -> str:
    return "always" if begins_with_space(given) else without


def words(given: Given) -> Any:
    """Return the split at spaces of AlbertTokenizer, CamembertTokenizer and XLMRobertaTokenizer."""
    return at_spaces(_scheme(given))


def at_spaces(scheme: str) -> dict[str, Any]:
    """Return the split at spaces, which are then marked."""
    return _sequence({"type": "WhitespaceSplit"}, metaspace(scheme))


def rembert(given: Given) -> Any:
    """Return the split of RemBertTokenizer."""
    return metaspace(_scheme(given))


def deberta_v2(given: Given) -> Any:
    """Return the split of DebertaV2Tokenizer."""
    split = {"type": "Punctuation", "behavior": "Isolated"}
    by_punctuation = [split] if given.settings.get("split_by_punct", False) else []
    return _sequence(*by_punctuation, metaspace(_scheme(given, "first")))


def llama(given: Given) -> Any:
    """Return the pre-tokenizer of LlamaTokenizer, which splits no text."""
    first = "always" if given.settings.get("legacy", False) else "first"
    return metaspace(first if begins_with_space(given) else "never", split=False)


def byte_level(prefix: bool, use_regex: bool = True) -> dict[str, Any]:
    """Return GPT-2's split into words, whose bytes are characters."""
    return {
        "type": "ByteLevel",
        "add_prefix_space": prefix,
        "trim_offsets": True,
        "use_regex": use_regex,
    }


def of_bytes(given: Given) -> Any:
    """Return the split of GPT2Tokenizer, RobertaTokenizer and DebertaTokenizer."""
    return byte_level(begins_with_space(given, default=False))


def qwen2(given: Given) -> Any:
    """Return the split of Qwen2Tokenizer."""
    split = {
        "type": "Split",
        "pattern": {"Regex": QWEN_WORDS},
        "behavior": "Isolated",
        "invert": False,
    }
    return _sequence(split, byte_level(begins_with_space(given, default=False), use_regex=False))
