"""Bearer keys, and the hashes by which `keys.toml` and the router know them."""

import hashlib
import secrets

# People and secret scanners recognise a leaked key by its prefix.
KEY_PREFIX = "to-"


def new_key() -> str:
    """Return a new bearer key of 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def key_hash(key: str) -> str:
    """Return the SHA-256 in hexadecimal. A key of 256 random bits cannot be guessed, so it needs no slow hash."""
    return hashlib.sha256(key.encode()).hexdigest()
