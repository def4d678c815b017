"""A SHA-256 that can be put down between two blocks of 64 bytes and gone on with by another process.

`hashlib` keeps its state to itself. The OpenSSL that it is linked with has one of plain integers, which a program may
copy: https://docs.openssl.org/3.0/man3/SHA256_Init/ (deprecated, and in every version up to now). Where there is none,
or it has another form, a hash cannot be put down, and a push that was cut off reads its file again.
"""

import _hashlib
import ctypes
import hashlib
import re
from functools import cache
from typing import Self

# struct SHA256state_st: eight words of the hash, two of the length, a block of 64 bytes, and two numbers.
STATE_BYTES = 8 * 4 + 2 * 4 + 64 + 2 * 4
DIGEST_BYTES = 32


class Sha256:
    """A hash over what was given to `update`."""

    def __init__(self) -> None:
        self._of = hashlib.sha256()

    def update(self, body: bytes) -> None:
        self._of.update(body)

    def hexdigest(self) -> str:
        return self._of.hexdigest()

    def state(self) -> str:
        """Return what `resumed` goes on from; empty where a hash cannot be put down."""
        return ""


class PlainSha256(Sha256):
    """A hash whose state is plain memory."""

    def __init__(self) -> None:
        self._library = _library()
        self._memory = ctypes.create_string_buffer(STATE_BYTES)
        self._library.SHA256_Init(self._memory)

    @classmethod
    def of(cls, state: str) -> Self:
        made = cls()
        made._memory.raw = bytes.fromhex(state)
        return made

    def update(self, body: bytes) -> None:
        self._library.SHA256_Update(self._memory, body, ctypes.c_size_t(len(body)))

    def hexdigest(self) -> str:
        digest = ctypes.create_string_buffer(DIGEST_BYTES)
        # The end writes into the state.
        copy = ctypes.create_string_buffer(self._memory.raw, STATE_BYTES)
        self._library.SHA256_Final(digest, copy)
        return digest.raw.hex()

    def state(self) -> str:
        return self._memory.raw.hex()


def begun() -> Sha256:
    """Return a hash of nothing yet, which can be put down where this machine has one that can."""
    return PlainSha256() if can_resume() else Sha256()


def resumed(state: str) -> Sha256 | None:
    """Return the hash that was put down; None where it cannot be gone on with here."""
    if not can_resume() or not re.fullmatch(f"[0-9a-f]{{{2 * STATE_BYTES}}}", state):
        return None
    return PlainSha256.of(state)


@cache
def can_resume() -> bool:
    """Return whether the library's hash, put down and gone on with in the middle of a block, is that of hashlib."""
    try:
        first = PlainSha256()
        first.update(b"turnout" * 100)
        second = PlainSha256.of(first.state())
    except (OSError, AttributeError):
        return False
    second.update(b"push" * 33)
    return second.hexdigest() == hashlib.sha256(b"turnout" * 100 + b"push" * 33).hexdigest()


@cache
def _library() -> ctypes.CDLL:
    """Return the library that hashlib is linked with; raise OSError. Functions that it lacks raise AttributeError."""
    return ctypes.CDLL(getattr(_hashlib, "__file__", None))
