"""The normalizers that classes of transformers make: what becomes of capitals, accents and odd characters."""

from typing import Any

from build.sources.huggingface.tokenizer_parts.given import Given, replacing

LOWERCASE = {"type": "Lowercase"}
STEPS_OF_ACCENTS = ({"type": "NFKD"}, {"type": "StripAccents"})
QUOTES = (replacing({"String": "``"}, '"'), replacing({"String": "''"}, '"'))


def _sequence(*steps: Any) -> dict[str, Any]:
    return {"type": "Sequence", "normalizers": list(steps)}


def precompiled(given: Given) -> Any:
    """Return the table by which SentencePiece normalises characters, which is the file's own; None without one."""
    found = given.tokenizer.get("normalizer") or {}
    steps = found.get("normalizers", [found]) if isinstance(found, dict) else []
    return next((step for step in steps if step.get("type") == "Precompiled"), None)


def bert(given: Given) -> Any:
    """Return the normalizer of BertTokenizer, DistilBertTokenizer and MPNetTokenizer."""
    return {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": given.settings.get("tokenize_chinese_chars", True),
        "strip_accents": given.settings.get("strip_accents"),
        "lowercase": given.settings.get("do_lower_case", True),
    }


def albert(given: Given) -> Any:
    """Return the normalizer of AlbertTokenizer."""
    return _sequence(*QUOTES, *_plainer(given, accents=False, lower=True))


def rembert(given: Given) -> Any:
    """Return the normalizer of RemBertTokenizer, whose defaults are the other way round than ALBERT's."""
    spaces = replacing({"Regex": " {2,}"}, " ")
    return _sequence(*QUOTES, spaces, *_plainer(given, accents=True, lower=False))


def _plainer(given: Given, *, accents: bool, lower: bool) -> list[Any]:
    """Return the steps that take accents and capitals away, by these defaults, and the file's own table behind them."""
    table = precompiled(given)
    return [
        *([] if given.settings.get("keep_accents", accents) else STEPS_OF_ACCENTS),
        *([LOWERCASE] if given.settings.get("do_lower_case", lower) else []),
        *([table] if table else []),
    ]


def deberta_v2(given: Given) -> Any:
    """Return the normalizer of DebertaV2Tokenizer."""
    return _sequence(
        *([LOWERCASE] if given.settings.get("do_lower_case", False) else []),
        replacing({"Regex": r"\s{2,}|[\n\r\t]"}, " "),
        {"type": "NFC"},
        {"type": "Strip", "strip_left": False, "strip_right": True},
    )
