"""The check of a tokenizer that the build has made itself: every text becomes the same tokens as in its own library.

A tokenizer.json is read by the same library on both sides. Marian's folders have none, so that what is served is
another implementation, which is proved on more texts than the user's rows.
"""

from collections.abc import Sequence
from dataclasses import replace
from textwrap import shorten

from build.errors import ReadingDiffers
from build.reading.library import library
from build.sources.source import TransformersSource
from functions.inference.engine import Engine
from functions.inference.marian.pieces import PieceTokenizer

# Ids that no text has: here none is truncated.
UNLIMITED = 1 << 30
# Characters of a text, and ids, that a message shows.
MAX_SHOWN, MAX_IDS = 200, 30


def check_tokens(
    name: str, engine: Engine, source: TransformersSource, texts: Sequence[str]
) -> None:
    """Raise ReadingDiffers with the first of the texts that becomes other tokens, if the tokenizer is one of ours."""
    tokenizer = getattr(engine.model, "tokenizer", None)
    if not isinstance(tokenizer, PieceTokenizer):
        return
    whole = replace(tokenizer, limit=UNLIMITED)
    for text, right in zip(texts, library().ids(source, texts), strict=True):
        found = whole.encode(text).ids
        if found != right:
            shown = shorten(repr(text), MAX_SHOWN, placeholder=" ...")
            raise ReadingDiffers(
                f"{name}: the text {shown} becomes other tokens than by its own library, so the tokenizer is misread "
                f"and nothing ships; its library: {right[:MAX_IDS]}, here: {found[:MAX_IDS]}; report it as a fault of "
                "Turnout, with the text and the folder's source.spm and vocab.json"
            )
