"""The post-processors that classes of transformers make: the special tokens around a text and a pair."""

from typing import Any

from build.sources.huggingface.tokenizer_parts.given import Document, Given, Part
from build.sources.huggingface.tokenizer_parts.pre_tokenizers import byte_level, of_bytes


def around(first: str, last: str, *, types: bool = False, twice: bool = False) -> Part:
    """Return what puts two special tokens around a text and a pair, by their keys.

    With `types` the second text and its end are of type 1; `twice` puts the last token twice between the two.
    """

    def made(given: Given) -> Any:
        start, end = given.token(first), given.token(last)
        return _template(given, start, end, types=types, twice=twice)

    return made


def unless_given(part: Part) -> Part:
    """Return what makes a part only where tokenizer.json has none."""
    return lambda given: given.tokenizer.get("post_processor") or part(given)


def if_given(part: Part) -> Part:
    """Return what makes a part only where tokenizer.json has another."""
    return lambda given: given.tokenizer.get("post_processor") and part(given)


def t5(given: Given) -> Any:
    """Return what puts the end behind a text, as T5Tokenizer does whatever its `eos_token` is."""
    return _template(given, "", "</s>")


def _template(
    given: Given, start: str, end: str, *, types: bool = False, twice: bool = False
) -> Any:
    """Return what puts the tokens around a text, none in front for an empty one; the file's where one is unknown."""
    tokens = sorted({start, end} - {""})
    if not given.ids.keys() >= set(tokens):
        return given.tokenizer.get("post_processor")

    def special(token: str, kind: int = 0) -> list[Any]:
        return [{"SpecialToken": {"id": token, "type_id": kind}}] if token else []

    kind = int(types)
    one = [*special(start), {"Sequence": {"id": "A", "type_id": 0}}, *special(end)]
    other = [{"Sequence": {"id": "B", "type_id": kind}}, *special(end, kind)]
    return {
        "type": "TemplateProcessing",
        "single": one,
        "pair": [*one, *(special(end) if twice else []), *other],
        "special_tokens": {
            token: {"id": token, "ids": [given.ids[token]], "tokens": [token]} for token in tokens
        },
    }


def roberta(given: Given) -> Any:
    """Return what puts RobertaTokenizer's tokens around a text."""
    return _roberta(given, bool(given.settings.get("trim_offsets", True)), of_bytes(given))


def mpnet(given: Given) -> Any:
    """Return what puts MPNetTokenizer's tokens around a text."""
    return _roberta(given, True, byte_level(False))


def _roberta(given: Given, trim: bool, words: Document) -> Any:
    first, last = given.token("cls_token"), given.token("sep_token")
    if not {first, last} <= given.ids.keys():
        return given.tokenizer.get("post_processor")
    return {
        "type": "RobertaProcessing",
        "sep": [last, given.ids[last]],
        "cls": [first, given.ids[first]],
        "trim_offsets": trim,
        "add_prefix_space": words["add_prefix_space"],
    }
