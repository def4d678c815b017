"""Tokens to text while they come, without half a character, and up to the first stop string."""

from collections.abc import Sequence

from tokenizers import Tokenizer

# What a tokenizer makes of bytes that are no character, or not yet.
UNFINISHED = "\ufffd"
# A character has four bytes at most: what so many tokens do not finish is broken for good.
BYTES = 4
# Tokens are decoded together with a few that stand before them, since spaces depend on neighbours.
WINDOW = 16


class Detokenizer:
    """The text that follows the tokens `before`; what a token costs does not depend on how many came already."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str], before: Sequence[int]) -> None:
        self.text = ""
        self._tokenizer = tokenizer
        self._stop = stop
        self._reach = max(map(len, stop), default=1) - 1
        self._ids = list(before[-WINDOW:])
        self._told = len(self._decode())
        self._boundary = len(self._ids)
        self._unfinished = 0

    @property
    def held(self) -> int:
        """How many tokens are decoded with the next one."""
        return len(self._ids)

    def add(self, token: int) -> bool:
        """Add what the token completes; true where a stop string did, and then the text ends before it."""
        self._ids.append(token)
        seen = self._decode()
        whole = len(seen.rstrip(UNFINISHED))
        self._unfinished = 0 if whole == len(seen) else self._unfinished + 1
        if self._unfinished > BYTES:
            whole = len(seen) - BYTES
        settled = max(self._told, whole)
        piece, self._told = seen[self._told : settled], settled
        self._forget()
        return self._append(piece)

    def _decode(self) -> str:
        text: str = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        return text

    def _forget(self) -> None:
        """Let go of tokens before the last boundary between characters, once enough stand behind it."""
        behind = len(self._ids) - self._boundary
        if behind > (4 * WINDOW if self._unfinished else WINDOW):
            untold = len(self._decode()) - self._told
            del self._ids[: self._boundary]
            self._told = len(self._decode()) - untold
            self._boundary = len(self._ids)

    def _append(self, piece: str) -> bool:
        start = max(0, len(self.text) - self._reach)
        self.text += piece
        found = [at for stop in self._stop if (at := self.text.find(stop, start)) >= 0]
        if found:
            self.text = self.text[: min(found)]
        return bool(found)
