"""An incremental detokenizer: tokens become text as they come, in whole characters, up to the first stop string.

As in text-generation-inference, a few earlier tokens are decoded again with each new one, because whether a token
begins with a space depends on its neighbours.
"""

from collections.abc import Sequence

from tokenizers import Tokenizer

# U+FFFD, the replacement character: a tokenizer's text for bytes that are no character, or not a whole one yet.
REPLACEMENT = "\ufffd"
# The longest character in UTF-8. Bytes that do not become a character within this many tokens never will.
MAX_CHARACTER_BYTES = 4
# Tokens that are decoded again with a new one.
WINDOW = 16


# What `clean_up_tokenization_spaces` has transformers replace, in this order.
CLEANED = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"),
    (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


def clean_up(text: str) -> str:
    """Return a text without the spaces that a tokenizer of words leaves before punctuation, as in transformers."""
    for spaced, cleaned in CLEANED:
        text = text.replace(spaced, cleaned)
    return text


class Detokenizer:
    """The text generated after a prompt. Adding a token costs the same however many there are already."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str], prompt: Sequence[int]) -> None:
        self.text = ""
        self._tokenizer = tokenizer
        self._stop = stop
        # A stop string may begin in text that was emitted earlier, at most one character less than its length before.
        self._overlap = max(map(len, stop), default=1) - 1
        self._ids = list(prompt[-WINDOW:])
        self._emitted = len(self._decode())
        self._boundary = len(self._ids)
        self._incomplete = 0

    @property
    def window(self) -> int:
        """Return the number of tokens that are decoded with the next one."""
        return len(self._ids)

    def add(self, token: int) -> bool:
        """Append the text that the token completes; return True if a stop string ends the text, which it leaves out."""
        self._ids.append(token)
        decoded = self._decode()
        complete = len(decoded.rstrip(REPLACEMENT))
        self._incomplete = 0 if complete == len(decoded) else self._incomplete + 1
        if self._incomplete > MAX_CHARACTER_BYTES:
            complete = len(decoded) - MAX_CHARACTER_BYTES
        end = max(self._emitted, complete)
        piece, self._emitted = decoded[self._emitted : end], end
        self._shrink_window()
        return self._append(piece)

    def _decode(self) -> str:
        text: str = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        return text

    def _shrink_window(self) -> None:
        """Drop the tokens before the last boundary between characters, once there are enough after it."""
        after = len(self._ids) - self._boundary
        # Dropping in the middle of a character would lose it, unless the bytes have been no character for very long.
        if after > (4 * WINDOW if self._incomplete else WINDOW):
            pending = len(self._decode()) - self._emitted
            del self._ids[: self._boundary]
            self._emitted = len(self._decode()) - pending
            self._boundary = len(self._ids)

    def _append(self, piece: str) -> bool:
        start = max(0, len(self.text) - self._overlap)
        self.text += piece
        places = [at for stop in self._stop if (at := self.text.find(stop, start)) >= 0]
        if places:
            self.text = self.text[: min(places)]
        return bool(places)
