"""An incremental detokenizer: tokens become text as they come, in whole characters, up to the first stop string.

As in text-generation-inference, a few earlier tokens are decoded again with each new one, because whether a token
begins with a space depends on its neighbours. Text at the end stays open: the bytes of a run of byte tokens are either
all text or, where they are not all UTF-8, each a replacement character, which the last of them decides.
https://github.com/huggingface/tokenizers/blob/v0.23.1/tokenizers/src/decoders/byte_fallback.rs
"""

import re
from collections.abc import Sequence

from tokenizers import Tokenizer

from functions.inference.marian.pieces import PieceTokenizer

# U+FFFD, the replacement character: a tokenizer's text for bytes that are no character, or not a whole one yet.
REPLACEMENT = "\ufffd"
# The longest character in UTF-8. Bytes that do not become a character within this many tokens never will.
MAX_CHARACTER_BYTES = 4
# Tokens that are decoded again with a new one.
WINDOW = 16
# A token that stands for one byte of what the vocabulary has no other token for.
BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


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
    """The text generated after a prompt.

    Adding a token costs the same however many there are already, but for those of a run of byte tokens.
    """

    def __init__(
        self, tokenizer: Tokenizer | PieceTokenizer, stop: Sequence[str], prompt: Sequence[int]
    ) -> None:
        self.text = ""
        self._tokenizer = tokenizer
        self._stop = stop
        # A stop string may begin in text that is settled, at most one character less than its length before.
        self._overlap = max(map(len, stop), default=1) - 1
        self._ids = list(prompt)
        while self._ends_in_bytes():  # which those that are generated would otherwise continue
            self._ids.pop()
        del self._ids[:-WINDOW]
        self._boundary = len(self._ids)
        # The characters of the decoded tokens, and of the text, that no further token changes.
        self._before, self._settled = len(self._decode()), 0
        self._incomplete = self._certain = 0

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
            complete = max(complete, len(decoded) - MAX_CHARACTER_BYTES)
        end = max(self._before, complete)
        self.text = self.text[: self._settled] + decoded[self._before : end]
        if self._ends_in_stop():
            return True
        self._settle(len(decoded) - end)
        return False

    def certain(self) -> int:
        """Return how many characters of the text neither a further token nor a stop string changes.

        Call it after each token: bytes are certain with the first token behind a run of them.
        """
        if not self._ends_in_bytes():
            self._certain = len(self.text)
        return self._certain - max((self._begun(stop) for stop in self._stop), default=0)

    def _begun(self, stop: str) -> int:
        """Return how many characters at the end of what is certain could be the beginning of a stop string."""
        longest = min(len(stop) - 1, self._certain)
        lengths = range(longest, 0, -1)
        return next((n for n in lengths if self.text.endswith(stop[:n], 0, self._certain)), 0)

    def _decode(self) -> str:
        text: str = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        return text

    def _ends_in_bytes(self) -> bool:
        """Return whether the last token that is text is that of a byte; special tokens do not end a run of them."""
        for token in reversed(self._ids):
            if BYTE.fullmatch(self._tokenizer.id_to_token(token) or ""):
                return True
            if self._tokenizer.decode([token], skip_special_tokens=True):
                return False
        return False

    def _settle(self, pending: int) -> None:
        """Settle the text, and drop the tokens before the last boundary, once there are enough after it.

        The last `pending` characters are left open.
        """
        after = len(self._ids) - self._boundary
        # Dropping in the middle of a character would lose it, unless the bytes have been no character for very long.
        if after <= (4 * WINDOW if self._incomplete else WINDOW) or self._ends_in_bytes():
            return
        del self._ids[: self._boundary]
        self._before = len(self._decode()) - pending
        self._settled = len(self.text)
        self._boundary = len(self._ids)

    def _ends_in_stop(self) -> bool:
        """Cut the text before the first stop string in it; return whether there is one."""
        start = max(0, self._settled - self._overlap)
        places = [at for stop in self._stop if (at := self.text.find(stop, start)) >= 0]
        if places:
            self.text = self.text[: min(places)]
        return bool(places)
