"""A tokenizer.json with the settings of the files beside it: its vocabulary, padding and normalizer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from build.sources.huggingface import tokenizer_settings
from build.sources.huggingface.config import FILE as CONFIG
from build.sources.huggingface.config import is_whole, optional_json, read_json
from build.sources.huggingface.marian import folder as marian
from build.sources.huggingface.tokenizer_class import tokenizer_class
from build.sources.source import TokenizedSource, Unusable
from contracts.manifest import TOKENIZER
from contracts.problems import Code

TOKENIZER_CONFIG = "tokenizer_config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFile:
    """The parts of a tokenizer.json that checks look at; `vocabulary` has the id of every token.

    `kind` is the name of its class in transformers, `model` that of how it splits words (BPE, Unigram ...), and
    `changes` are the values at the top of the file that the files beside it change (see `tokenizer_settings.py`).
    """

    name: str
    vocabulary: Mapping[str, int]
    padding: Mapping[str, Any]
    normalizer: Any
    kind: str = ""
    model: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def max_id(self) -> int:
        """Return the largest id of a token; -1 where there is no token."""
        return max(self.vocabulary.values(), default=-1)


def read_tokenizer(path: Path) -> TokenizerFile:
    """Return the parsed file as it is; raise Unusable where it is damaged."""
    return _parsed(read_json(path), path)


def read_tokenizer_of(path: Path, config: Mapping[str, Any]) -> TokenizerFile:
    """Return the file as the settings beside it and those of config.json have it.

    Raise Unusable where one is damaged, or contradicts the others.
    """
    document, beside = read_json(path), path.parent
    _vocabulary(document, path.name)
    tokenizer_config = optional_json(beside / TOKENIZER_CONFIG)
    kind = tokenizer_class(config, tokenizer_config, document)
    files = tokenizer_settings.TokenizerFiles(
        kind=kind,
        tokenizer=document,
        tokenizer_config=tokenizer_config,
        special_tokens_map=optional_json(beside / "special_tokens_map.json"),
        added_tokens=optional_json(beside / "added_tokens.json"),
    )
    if problems := tokenizer_settings.problems(files):
        raise Unusable.listing(problems)
    changes = tokenizer_settings.changes(files)
    return replace(_parsed({**document, **changes}, path), kind=kind, changes=changes)


def read_tokenizer_of_marian(folder: Path) -> TokenizerFile:
    """Return the ids of a Marian folder; raise Unusable where a file is damaged, or says what is not served."""
    found = marian.read_marian(folder)
    return TokenizerFile(
        name=marian.IDS,
        vocabulary=found.ids,
        padding={},
        normalizer=None,
        kind=marian.CLASS,
        model="Unigram",
    )


def with_settings(source: TokenizedSource, folder: Path) -> TokenizedSource:
    """Return the source with its tokenizer.json rewritten in a folder, or as it is where no file beside changes it.

    Marian's is made of its other files.
    """
    if source.tokenizer.name == marian.SOURCE:
        config = optional_json(source.folder / CONFIG)
        rows = config.get("decoder_vocab_size") or config.get("vocab_size") or 0
        tokenizer = marian.write_marian(marian.read_marian(source.folder), int(rows), folder)
        return replace(source, tokenizer=tokenizer)
    if not source.tokenizer_changes:
        return source
    folder.mkdir(parents=True, exist_ok=True)
    document = {**read_json(source.tokenizer), **source.tokenizer_changes}
    (folder / TOKENIZER).write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    return replace(source, tokenizer=folder / TOKENIZER, tokenizer_changes={})


def _parsed(document: Mapping[str, Any], path: Path) -> TokenizerFile:
    return TokenizerFile(
        name=path.name,
        vocabulary=_vocabulary(document, path.name),
        padding=document.get("padding") or {},
        normalizer=document.get("normalizer"),
        model=str((document.get("model") or {}).get("type", "")),
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
