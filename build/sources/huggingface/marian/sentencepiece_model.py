"""A model of SentencePiece (`.spm`): its pieces with their scores, and how it normalises a text.

Names and numbers of fields are those of
https://github.com/google/sentencepiece/blob/v0.2.1/src/sentencepiece_model.proto
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from build.graph.messages import message_class
from build.sources.source import Unusable
from contracts.problems import Code

MESSAGES = {
    "ModelProto": "pieces 1 Piece*, trainer_spec 2 TrainerSpec, normalizer_spec 3 NormalizerSpec, "
    "denormalizer_spec 5 NormalizerSpec",
    "Piece": "piece 1 string, score 2 float, type 3 int64",
    "TrainerSpec": "model_type 3 int64, treat_whitespace_as_suffix 24 int64, byte_fallback 35 int64",
    "NormalizerSpec": "precompiled_charsmap 2 bytes, add_dummy_prefix 3 int64, "
    "remove_extra_whitespaces 4 int64, escape_whitespaces 5 int64",
}
UNIGRAM = 1
# Types of pieces: those that a text is split into, and the one that stands for all else.
NORMAL, UNKNOWN = 1, 2
# Types of pieces that a text is never split into.
CONTROL, UNUSED = 3, 5
SERVED_TYPES = {NORMAL, UNKNOWN, CONTROL, UNUSED}


@dataclass(frozen=True, slots=True, kw_only=True)
class SentencePieceModel:
    """The pieces in the order of SentencePiece's ids, each with its score and type, and the place of the unknown one.

    `charsmap` replaces characters; with `collapse`, several spaces are one, and with `prefix` a text begins with one.
    """

    pieces: tuple[tuple[str, float, int], ...]
    unknown: int
    charsmap: bytes
    collapse: bool
    prefix: bool


@cache
def _model_class() -> Any:
    return message_class(MESSAGES, "ModelProto", syntax="proto2")


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Return the model in a file; raise Unusable where it is damaged, or of a kind that is not served."""
    try:
        model = _model_class().FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise Unusable(
            Code.FILE_DAMAGED, f"{path.name} is no model of SentencePiece ({error}); copy it again"
        ) from error
    pieces = tuple(
        (p.piece, p.score, p.type if p.HasField("type") else NORMAL) for p in model.pieces
    )
    unknown = [place for place, (_, _, kind) in enumerate(pieces) if kind == UNKNOWN]
    if len(unknown) != 1:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"{path.name} has {len(unknown)} pieces for unknown characters; copy it again",
        )
    if reason := _unserved(model, {kind for _, _, kind in pieces}):
        raise Unusable(
            Code.TOKENIZER_UNSUPPORTED,
            f"{path.name} {reason}, which is not served; train with a unigram model of SentencePiece",
        )
    rules = model.normalizer_spec
    return SentencePieceModel(
        pieces=pieces,
        unknown=unknown[0],
        charsmap=rules.precompiled_charsmap,
        collapse=_or_true(rules, "remove_extra_whitespaces"),
        prefix=_or_true(rules, "add_dummy_prefix"),
    )


def _unserved(model: Any, kinds: set[int]) -> str:
    """Return what of a model is not served; empty where all is."""
    trainer = model.trainer_spec
    if trainer.HasField("model_type") and trainer.model_type != UNIGRAM:
        return "splits texts by another model than a unigram one"
    if trainer.byte_fallback or kinds - SERVED_TYPES:
        return "has pieces that are bytes, or that its user defined"
    if trainer.treat_whitespace_as_suffix or not _or_true(
        model.normalizer_spec, "escape_whitespaces"
    ):
        return "has spaces elsewhere than before words"
    if model.denormalizer_spec.precompiled_charsmap:
        return "replaces characters of what is written"
    return ""


def _or_true(rules: Any, field: str) -> bool:
    """Return a field that is true where it is left out."""
    return bool(getattr(rules, field)) if rules.HasField(field) else True
