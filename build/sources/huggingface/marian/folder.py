"""The tokenizer of a Marian folder: its files, read and checked, and written as the artefact has it."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build.sources.huggingface.config import is_whole, optional_json, read_json
from build.sources.huggingface.marian.sentencepiece_model import (
    CONTROL,
    NORMAL,
    SentencePieceModel,
    read_sentencepiece,
)
from build.sources.huggingface.tokenizer_parts.given import content
from build.sources.source import Unusable
from contracts.manifest import TOKENIZER
from contracts.problems import Code, Problem
from functions.inference.marian.pieces import PIECES

MODEL_TYPE, CLASS = "marian", "MarianTokenizer"
SOURCE, TARGET, IDS, TARGET_IDS = "source.spm", "target.spm", "vocab.json", "target_vocab.json"
# The special tokens by their keys, with the defaults of the class.
SPECIAL = {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>"}
FLAGS = ("lstrip", "rstrip", "single_word")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarianTokenizer:
    """The parts of a folder's tokenizer: the ids of pieces that are read and of those that are written.

    `special` has the unknown token, the end, and others that no text is split within.
    """

    source: SentencePieceModel
    target: SentencePieceModel
    ids: Mapping[str, int]
    target_ids: Mapping[str, int]
    separate: bool
    special: tuple[str, ...]
    left: bool


def is_marian(config: Mapping[str, Any]) -> bool:
    """Return whether a folder's tokenizer is made of models of SentencePiece, by its config.json."""
    return config.get("model_type") == MODEL_TYPE


def files_of(folder: Path) -> tuple[str, ...]:
    """Return the names of the files that a Marian folder has to have for its tokenizer."""
    separate = optional_json(folder / "tokenizer_config.json").get("separate_vocabs") is True
    return (SOURCE, TARGET, IDS, *((TARGET_IDS,) if separate else ()))


def read_marian(folder: Path) -> MarianTokenizer:
    """Return the tokenizer of a folder; raise Unusable where a file is damaged, or says what is not served."""
    config = optional_json(folder / "tokenizer_config.json")
    if "added_tokens_decoder" not in config:
        config |= optional_json(folder / "special_tokens_map.json")
    separate = config.get("separate_vocabs") is True
    ids = _ids(folder / IDS)
    if problems := _problems(folder, config, ids):
        raise Unusable.listing(problems)
    return MarianTokenizer(
        source=read_sentencepiece(folder / SOURCE),
        target=read_sentencepiece(folder / TARGET),
        ids=ids,
        target_ids=_ids(folder / TARGET_IDS) if separate else ids,
        separate=separate,
        special=_special(config),
        left=config.get("truncation_side") == "left",
    )


def _ids(path: Path) -> dict[str, int]:
    found = read_json(path)
    wrong = next(
        (piece for piece, place in found.items() if not is_whole(place) or place < 0), None
    )
    if wrong is not None:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"{path.name} has {found[wrong]!r} as the id of {wrong!r}, where a whole number has to be; copy it again",
        )
    return {piece: int(place) for piece, place in found.items()}


def _special(config: Mapping[str, Any]) -> tuple[str, ...]:
    named = [content(config.get(key) or default) for key, default in SPECIAL.items()]
    extra = config.get("extra_special_tokens") or config.get("additional_special_tokens") or []
    extra = list(extra.values()) if isinstance(extra, dict) else extra
    return tuple(dict.fromkeys([*named, *map(content, extra)]))


def _problems(folder: Path, config: Mapping[str, Any], ids: Mapping[str, int]) -> list[Problem]:
    """Return a problem for each setting of the tokenizer that is not served, and for special tokens without an id."""
    special, found = _special(config), []
    if lost := [token for token in special if token not in ids]:
        message = f"{IDS} has no id for {', '.join(lost)}; save the tokenizer again"
        found.append(Problem(code=Code.TOKENIZER_MISMATCH, message=message))
    added = [
        *(config.get("added_tokens_decoder") or {}).values(),
        *optional_json(folder / "added_tokens.json"),
    ]
    own = sorted({content(token) for token in added} - set(special))
    stripping = [content(t) for t in added if isinstance(t, dict) and any(map(t.get, FLAGS))]
    if own or stripping:
        message = (
            f"tokenizer_config.json adds tokens of its own ({', '.join([*own, *stripping])}), which is not served; "
            f"put them into {IDS} and the models of SentencePiece"
        )
        found.append(Problem(code=Code.TOKENIZER_UNSUPPORTED, message=message))
    if config.get("sp_model_kwargs"):
        message = (
            "tokenizer_config.json has `sp_model_kwargs`, arguments for SentencePiece, which are not served; "
            "take it out"
        )
        found.append(Problem(code=Code.SETTING_UNSUPPORTED, message=message))
    return found


def write_marian(tokenizer: MarianTokenizer, rows: int, folder: Path) -> Path:
    """Write the tokenizer as an artefact has it, and return its tokenizer.json.

    `rows` is the number of ids that the model may write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = tokenizer.source
    path = folder / TOKENIZER
    path.write_text(json.dumps(_splitter(source), ensure_ascii=False), "utf-8")
    pieces = {
        "source": _by_id(tokenizer.ids),
        "target": _written(tokenizer, rows),
        "special": tokenizer.special,
        "unknown": tokenizer.special[0],
        "end": tokenizer.special[1],
        "left": tokenizer.left,
        "collapse": source.collapse,
        "prefix": source.prefix,
        "charsmap": base64.b64encode(source.charsmap).decode(),
    }
    (folder / PIECES).write_text(json.dumps(pieces, ensure_ascii=False), "utf-8")
    return path


def _splitter(source: SentencePieceModel) -> dict[str, Any]:
    """Return the tokenizer.json of a unigram model, whose other pieces stand as what no text contains."""
    scores = [score for _, score, kind in source.pieces if kind == NORMAL]
    vocabulary = [
        # Spaces are signs by then, so that none is within a text.
        [piece, score] if kind == NORMAL else [f" {piece}", min(scores, default=0.0)]
        for piece, score, kind in source.pieces
    ]
    model = {
        "type": "Unigram",
        "unk_id": source.unknown,
        "vocab": vocabulary,
        "byte_fallback": False,
    }
    parts = ("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")
    return {
        "version": "1.0",
        **dict.fromkeys(parts),
        "added_tokens": [],
        "model": model,
    }


def _by_id(ids: Mapping[str, int]) -> list[str | None]:
    pieces: list[str | None] = [None] * (1 + max(ids.values(), default=-1))
    for piece, place in ids.items():
        pieces[place] = piece
    return pieces


def _written(tokenizer: MarianTokenizer, rows: int) -> Sequence[str | None]:
    """Return what is written for each id: an id without a piece stands, as in the library, for SentencePiece's own."""
    # The library reads a shared list of ids with the model of the source.
    model = tokenizer.target if tokenizer.separate else tokenizer.source
    special = {tokenizer.ids[token] for token in tokenizer.special}
    hidden = {piece for piece, _, kind in model.pieces if kind == CONTROL}
    own = [piece for piece, _, _ in model.pieces[:rows]]
    pieces: list[str | None] = [*own, *[None] * (rows - len(own))]
    for piece, place in tokenizer.target_ids.items():
        if place < rows:
            pieces[place] = piece
    return [
        None if place in special or piece in hidden else piece for place, piece in enumerate(pieces)
    ]
