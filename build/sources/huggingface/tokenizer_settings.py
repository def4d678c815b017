"""The settings of a tokenizer in the files beside tokenizer.json, put into the tokenizer.json that is served.

Of tokenizer_config.json, special_tokens_map.json and added_tokens.json, as transformers 5 reads them:
https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/tokenization_utils_tokenizers.py
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from build.sources.huggingface.tokenizer_class import GENERIC, UNSERVED
from build.sources.huggingface.tokenizer_parts.by_class import PARTS
from build.sources.huggingface.tokenizer_parts.given import NAMES, Given, content
from contracts.problems import Code, Problem

Document = Mapping[str, Any]

# The named special tokens, in transformers' order, in which those are added that tokenizer.json lacks.
NAMED = (
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
)  # fmt: skip
EXTRA, EXTRA_BEFORE = "extra_special_tokens", "additional_special_tokens"
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


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
        **_rebuilt(files),
    }
    before = {"added_tokens": [], **files.tokenizer}
    return {key: value for key, value in made.items() if value != before.get(key)}


def _rebuilt(files: TokenizerFiles) -> dict[str, Any]:
    added = {token["content"]: token["id"] for token in added_tokens(files)}
    given = Given(
        kind=files.kind,
        tokenizer=files.tokenizer,
        settings={**files.special_tokens_map, **files.tokenizer_config},
        ids={**_vocabulary(files.tokenizer), **added},
    )
    return {key: made(given) for key, made in PARTS.get(files.kind, {}).items()}


def truncation(files: TokenizerFiles) -> Any:
    """Return `truncation` with the side of `truncation_side`; without either, texts are cut on the right."""
    found, side = files.tokenizer.get("truncation"), files.tokenizer_config.get("truncation_side")
    if side is None or (found is None and side == "right"):
        return found
    base = {"max_length": 1, "strategy": "LongestFirst", "stride": 0, **(found or {})}
    return {**base, "direction": str(side).capitalize()}


def added_tokens(files: TokenizerFiles) -> list[Any]:
    """Return `added_tokens` with those that another file declares, which transformers adds to the vocabulary."""
    listed = _listed(files.tokenizer)
    vocabulary = _vocabulary(files.tokenizer)
    for token in _declared(files):
        content, known = token["content"], listed.get(token["content"], {})
        free = 1 + max((*vocabulary.values(), *(t["id"] for t in listed.values())), default=-1)
        place = known.get("id", vocabulary.get(content, token.get("id", free)))
        # `added_tokens_decoder` alone comes before what tokenizer.json says of the same token.
        if not known or "id" in token:
            listed[content] = {**token, "id": place}
    return sorted(listed.values(), key=lambda token: int(token["id"]))


def _listed(tokenizer: Document) -> dict[str, Any]:
    return {str(token["content"]): token for token in tokenizer.get("added_tokens") or ()}


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
            message=f"`{key}` is {token!r}, which tokenizer.json does not have; save the tokenizer again, or set "
            f"`tokenizer_class` to {GENERIC} in tokenizer_config.json to serve tokenizer.json as it is",
        )
        for key, token in _needed(files)
        if token not in _vocabulary(files.tokenizer) and token not in _listed(files.tokenizer)
    ]


def _needed(files: TokenizerFiles) -> Iterator[tuple[str, str]]:
    """Yield each special token that a class puts to use itself, where tokenizer.json has something in its place."""
    config = {**files.special_tokens_map, **files.tokenizer_config}
    names = NAMES.get(files.kind, {})
    if files.tokenizer.get("post_processor"):
        yield from (
            (key, content(config.get(key) or name))
            for key, name in names.items()
            if key != "unk_token"
        )
    unknown = config.get("unk_token")
    if unknown and (files.tokenizer.get("model") or {}).get("unk_token"):
        yield "unk_token", content(unknown)
