"""Texts as Marian's tokens, and back: SentencePiece splits a text into pieces, whose ids are in a list of the model's.

As in transformers' MarianTokenizer, whose pieces have other ids than SentencePiece gives them:
https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/models/marian/tokenization_marian.py
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tokenizers import Tokenizer

from contracts.manifest import TOKENIZER, BrokenArtefact
from functions.inference.marian.charsmap import Charsmap

# The file beside tokenizer.json, whose model splits a text: the ids of pieces and how characters are normalised.
PIECES = "pieces.json"
# SentencePiece's sign for a space within a piece.
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
# A text may begin with the language to translate into: `>>fra<< Good morning`.
LANGUAGE = re.compile(r">>(?s:.*?)<<")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """The ids of a text, and those that were cut off."""

    ids: list[int]
    overflowing: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceTokenizer:
    """A tokenizer with the methods of the library's that a model with an encoder needs.

    `splitter` splits a normalised text into pieces, `ids` has the id of each, and `pieces` those that are written by
    id, None for the `special` ones, which no text shows. The id of `end` stands behind each text; a piece without an id
    has that of `unknown`. A text has at most `limit` ids, cut on the left with `left`. With `collapse`, several spaces
    are one, and those at the ends none; with `prefix`, a text begins with a space.
    """

    splitter: Tokenizer
    charsmap: Charsmap
    ids: Mapping[str, int]
    pieces: Sequence[str | None]
    special: Sequence[str]
    end: str
    unknown: str
    limit: int
    left: bool
    collapse: bool
    prefix: bool

    @classmethod
    def open(cls, folder: Path, limit: int) -> Self:
        """Open the tokenizer of an artefact; raise BrokenArtefact if its files are damaged."""
        try:
            document: dict[str, Any] = json.loads((folder / PIECES).read_text("utf-8"))
            return cls(
                splitter=Tokenizer.from_file(str(folder / TOKENIZER)),
                charsmap=Charsmap(base64.b64decode(document["charsmap"])),
                ids={p: i for i, p in enumerate(document["source"]) if p is not None},
                pieces=document["target"],
                special=document["special"],
                end=document["end"],
                unknown=document["unknown"],
                limit=limit,
                left=document["left"],
                collapse=document["collapse"],
                prefix=document["prefix"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BrokenArtefact(
                f"{PIECES} is missing or no list of pieces ({error}); build the model again"
            ) from error

    def encode(self, text: str) -> Encoded:
        """Return the ids of a text with the end behind them."""
        unknown, room = self.ids[self.unknown], self.limit - 1
        ids = [self.ids.get(piece, unknown) for piece in self._split(text)]
        kept, cut = (ids[-room:], ids[:-room]) if self.left else (ids[:room], ids[room:])
        if len(ids) <= room:
            kept, cut = ids, []
        return Encoded(ids=[*kept, self.ids[self.end]], overflowing=cut)

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of ids, without special tokens and spaces at its ends."""
        pieces = [self.pieces[i] for i in ids if i < len(self.pieces)]
        return "".join(piece or "" for piece in pieces).replace(SPACE, " ").strip()

    def id_to_token(self, token: int) -> str | None:
        """Return the piece of an id, None for a special one."""
        return self.pieces[token] if token < len(self.pieces) else None

    def _split(self, text: str) -> Iterator[str]:
        """Yield the pieces of a text; special tokens within it are pieces by themselves."""
        for part in re.split(f"({'|'.join(map(re.escape, self.special))})", text):
            if part in self.special:
                yield part
                continue
            if language := LANGUAGE.match(part):
                yield language.group()
                part = part[language.end() :]
            yield from (token.value for token in self.splitter.model.tokenize(self.normalise(part)))

    def normalise(self, text: str) -> str:
        """Return the text as SentencePiece splits it, each space as its sign."""
        text = self.charsmap.normalise(text)
        if self.collapse:
            text = re.sub(" +", " ", text).strip(" ")
        if text and self.prefix:
            text = f" {text}"
        text = text.replace(" ", SPACE)
        return text.rstrip(SPACE) if self.collapse else text
