"""The settings of a tokenizer in the files beside tokenizer.json, put into the tokenizer.json that is served.

Of tokenizer_config.json, special_tokens_map.json and added_tokens.json, as transformers 5 reads them:
https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/tokenization_utils_tokenizers.py
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from build.sources.huggingface.tokenizer_class import GENERIC, UNSERVED
from contracts.problems import Code, Problem

Document = Mapping[str, Any]

# The named special tokens, in transformers' order, in which those are added that tokenizer.json lacks.
NAMED = (
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
)  # fmt: skip
EXTRA, EXTRA_BEFORE = "extra_special_tokens", "additional_special_tokens"
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
STEPS_OF_ACCENTS = ({"type": "NFKD"}, {"type": "StripAccents"})
LOWERCASE = {"type": "Lowercase"}
PUNCTUATION = {"type": "Punctuation", "behavior": "Isolated"}
# The tokens around a text of a BERT-like tokenizer, where no file names them.
AROUND = {
    "BertTokenizer": {"cls_token": "[CLS]", "sep_token": "[SEP]"},
    "DistilBertTokenizer": {"cls_token": "[CLS]", "sep_token": "[SEP]"},
    "MPNetTokenizer": {"cls_token": "<s>", "sep_token": "</s>"},
}
BYTE_LEVEL = ("DebertaTokenizer", "GPT2Tokenizer", "Qwen2Tokenizer", "RobertaTokenizer")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFiles:
    """The parsed files of a tokenizer, empty where there is none, and the name of its class in transformers."""

    kind: str
    tokenizer: Document
    tokenizer_config: Document
    special_tokens_map: Document
    added_tokens: Document


def changes(files: TokenizerFiles) -> dict[str, Any]:
    """Return the top-level values of tokenizer.json that the other files change, with their new values."""
    made = {
        "added_tokens": added_tokens(files),
        "truncation": truncation(files),
        **{key: change(files) for key, change in COMPONENTS.get(files.kind, {}).items()},
    }
    before = {"added_tokens": [], **files.tokenizer}
    return {key: value for key, value in made.items() if value != before.get(key)}


def truncation(files: TokenizerFiles) -> Any:
    """Return `truncation` with the side of `truncation_side`; without either, texts are cut on the right."""
    found, side = files.tokenizer.get("truncation"), files.tokenizer_config.get("truncation_side")
    if side is None or (found is None and side == "right"):
        return found
    base = {"max_length": 1, "strategy": "LongestFirst", "stride": 0, **(found or {})}
    return {**base, "direction": str(side).capitalize()}


def added_tokens(files: TokenizerFiles) -> list[Any]:
    """Return `added_tokens` with those that another file declares, which transformers adds to the vocabulary."""
    listed = {str(token["content"]): token for token in files.tokenizer.get("added_tokens") or ()}
    vocabulary = _vocabulary(files.tokenizer)
    for token in _declared(files):
        content, known = token["content"], listed.get(token["content"], {})
        free = 1 + max((*vocabulary.values(), *(t["id"] for t in listed.values())), default=-1)
        place = known.get("id", vocabulary.get(content, token.get("id", free)))
        # `added_tokens_decoder` alone comes before what tokenizer.json says of the same token.
        if not known or "id" in token:
            listed[content] = {**token, "id": place}
    return sorted(listed.values(), key=lambda token: int(token["id"]))


def _vocabulary(tokenizer: Document) -> dict[str, int]:
    listed = (tokenizer.get("model") or {}).get("vocab") or {}
    if isinstance(listed, dict):
        return listed
    return {str(entry[0]): place for place, entry in enumerate(listed)}


def _declared(files: TokenizerFiles) -> Iterator[dict[str, Any]]:
    """Yield each token that a file beside tokenizer.json declares; those of `added_tokens_decoder` have an id."""
    decoder = files.tokenizer_config.get("added_tokens_decoder")
    special = [_token(token, special=True) for token in special_tokens(files)]
    if decoder is None:
        named = {token["content"] for token in special}
        for content in files.added_tokens:
            yield _token(content, special=content in named)
    for place, token in sorted((decoder or {}).items(), key=lambda entry: int(entry[0])):
        yield {**_token(token), "id": int(place)}
    yield from special


def special_tokens(files: TokenizerFiles) -> list[Any]:
    """Return the special tokens that are named, each a text or an object with flags."""
    config = dict(files.tokenizer_config)
    # As in transformers: the map is read only by tokenizers that were saved before version 4.34.
    if "added_tokens_decoder" not in config:
        config |= files.special_tokens_map
    extra = config.get(EXTRA) or config.get(EXTRA_BEFORE) or []
    others = [
        value
        for key, value in config.items()
        if key.endswith("_token") and key not in NAMED and isinstance(value, str)
    ]
    if isinstance(extra, dict):
        others, extra = [*others, *extra.values()], []
    named = [config[key] for key in NAMED if config.get(key) is not None]
    return [*named, *others, *extra]


def _token(token: Any, *, special: bool = False) -> dict[str, Any]:
    """Return the entry of tokenizer.json for a token, without its id."""
    given = token if isinstance(token, dict) else {"content": token}
    special = bool(given.get("special", special))
    flags = {**dict.fromkeys(FLAGS, False), "normalized": not special, "special": special}
    known = {flag: bool(given[flag]) for flag in FLAGS if flag in given}
    return {"content": str(given["content"]), **flags, **known}


def _bert_normalizer(files: TokenizerFiles) -> Any:
    config = files.tokenizer_config
    return {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": config.get("tokenize_chinese_chars", True),
        "strip_accents": config.get("strip_accents"),
        "lowercase": config.get("do_lower_case", True),
    }


def _bert_post_processor(files: TokenizerFiles) -> Any:
    """Return what puts BERT's tokens around a text, which its class does by itself where tokenizer.json does not."""
    found = files.tokenizer.get("post_processor")
    vocabulary = _vocabulary(files.tokenizer)
    config = {**files.special_tokens_map, **files.tokenizer_config}
    first, last = (_content(config.get(k) or v) for k, v in AROUND[files.kind].items())
    if found is not None or not {first, last} <= vocabulary.keys():
        return found

    def special(token: str, kind: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": token, "type_id": kind}}

    one = [special(first, 0), {"Sequence": {"id": "A", "type_id": 0}}, special(last, 0)]
    return {
        "type": "TemplateProcessing",
        "single": one,
        "pair": [*one, {"Sequence": {"id": "B", "type_id": 1}}, special(last, 1)],
        "special_tokens": {
            token: {"id": token, "ids": [vocabulary[token]], "tokens": [token]}
            for token in (first, last)
        },
    }


def _albert_normalizer(files: TokenizerFiles) -> Any:
    config = files.tokenizer_config
    accents = () if config.get("keep_accents", False) else STEPS_OF_ACCENTS
    lower = (LOWERCASE,) if config.get("do_lower_case", True) else ()

    def change(steps: list[Any]) -> list[Any]:
        kept = [step for step in steps if step not in (*STEPS_OF_ACCENTS, LOWERCASE)]
        # Quotes are replaced first; what SentencePiece does to characters comes last.
        first = next((i for i, step in enumerate(kept) if step["type"] != "Replace"), len(kept))
        return [*kept[:first], *accents, *lower, *kept[first:]]

    return _steps(files.tokenizer.get("normalizer"), "normalizers", change)


def _deberta_normalizer(files: TokenizerFiles) -> Any:
    lower = [LOWERCASE] if files.tokenizer_config.get("do_lower_case", False) else []

    def change(steps: list[Any]) -> list[Any]:
        return [*lower, *(step for step in steps if step != LOWERCASE)]

    return _steps(files.tokenizer.get("normalizer"), "normalizers", change)


def _deberta_pre_tokenizer(files: TokenizerFiles) -> Any:
    split = [PUNCTUATION] if files.tokenizer_config.get("split_by_punct", False) else []

    def change(steps: list[Any]) -> list[Any]:
        return [*split, *(step for step in steps if step["type"] != "Punctuation")]

    return _steps(files.tokenizer.get("pre_tokenizer"), "pretokenizers", change)


def _byte_level_pre_tokenizer(files: TokenizerFiles) -> Any:
    prefix = bool(files.tokenizer_config.get("add_prefix_space", False))

    def change(steps: list[Any]) -> list[Any]:
        return [
            {**step, "add_prefix_space": prefix} if step["type"] == "ByteLevel" else step
            for step in steps
        ]

    return _steps(files.tokenizer.get("pre_tokenizer"), "pretokenizers", change)


def _steps(part: Any, key: str, change: Callable[[list[Any]], list[Any]]) -> Any:
    """Return a normalizer or pre-tokenizer with changed steps; one that has a single step stays without a list."""
    many = isinstance(part, dict) and isinstance(part.get(key), list)
    before = part[key] if many else [part] if part else []
    after = change(before)
    if after == before:
        return part
    return after[0] if len(after) == 1 and not many else {"type": "Sequence", key: after}


# What the settings of tokenizer_config.json change in tokenizer.json, by the class that reads them.
Change = Callable[[TokenizerFiles], Any]
COMPONENTS: Mapping[str, Mapping[str, Change]] = {
    **{kind: {"normalizer": _bert_normalizer} for kind in AROUND},
    **{
        kind: {"normalizer": _bert_normalizer, "post_processor": _bert_post_processor}
        for kind in ("BertTokenizer", "DistilBertTokenizer")
    },
    **{kind: {"pre_tokenizer": _byte_level_pre_tokenizer} for kind in BYTE_LEVEL},
    "AlbertTokenizer": {"normalizer": _albert_normalizer},
    "DebertaV2Tokenizer": {
        "normalizer": _deberta_normalizer,
        "pre_tokenizer": _deberta_pre_tokenizer,
    },
}


def problems(files: TokenizerFiles) -> list[Problem]:
    """Return a problem for each setting that tokenizer.json contradicts, or that it cannot hold."""
    if files.kind in UNSERVED:
        message = (
            f"its tokenizer is a {files.kind}, which splits texts by code of its own, while tokenizer.json is served; "
            "train with a tokenizer that tokenizer.json describes"
        )
        return [Problem(code=Code.TOKENIZER_UNSUPPORTED, message=message)]
    if files.kind == GENERIC:
        return []
    return [
        Problem(
            code=Code.TOKENIZER_MISMATCH,
            message=f"`{key}` is {content!r}, but tokenizer.json has other tokens in its place; save the tokenizer "
            f"again, or set `tokenizer_class` to {GENERIC} in tokenizer_config.json to serve tokenizer.json as it is",
        )
        for key, content, part in _expected(files)
        if json.dumps(content) not in json.dumps(part)
    ]


def _expected(files: TokenizerFiles) -> Iterator[tuple[str, str, Any]]:
    """Yield each special token that a class puts to use itself, and the part of tokenizer.json that has to have it."""
    config = {**files.special_tokens_map, **files.tokenizer_config}
    around = files.tokenizer.get("post_processor")
    for key, default in AROUND.get(files.kind, {}).items() if around else ():
        yield key, _content(config.get(key) or default), around
    model = files.tokenizer.get("model") or {}
    if (unknown := config.get("unk_token")) and model.get("unk_token"):
        yield "unk_token", _content(unknown), model["unk_token"]


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)
