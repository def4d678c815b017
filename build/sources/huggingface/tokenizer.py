"""The vocabulary of a tokenizer.json."""

from pathlib import Path

from build.sources.huggingface.config import is_whole
from build.sources.huggingface.weights import read_json
from build.sources.source import Unusable
from contracts.problems import Code


def vocabulary(folder: Path, name: str = "tokenizer.json") -> dict[str, int]:
    """Every token of tokenizer.json with its id."""
    tokenizer = read_json(folder / name)
    try:
        found = (tokenizer.get("model") or {}).get("vocab") or {}
        # A unigram model lists its tokens in the order of their ids.
        if not isinstance(found, dict):
            found = {str(entry[0]): i for i, entry in enumerate(found)}
        added = {str(t["content"]): t["id"] for t in tokenizer.get("added_tokens") or ()}
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise Unusable(
            Code.FILE_DAMAGED, f"{name} has no readable vocabulary; save the tokenizer again"
        ) from error
    known: dict[str, int] = {**found, **added}
    wrong = next((token for token, place in known.items() if not is_whole(place)), None)
    if wrong is not None:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"{name} has {known[wrong]!r} as the id of {wrong!r}, where a whole number has to be; "
            "save the tokenizer again",
        )
    return known
