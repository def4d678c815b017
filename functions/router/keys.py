"""Who may ask: `Authorization: Bearer <key>`, of which only the SHA-256 is known here."""

import hmac
from collections.abc import Iterable

from contracts.errors import Unauthorized
from contracts.routes import key_hash


def authorize(header: str | None, key_hashes: Iterable[str]) -> None:
    """Raises Unauthorized unless the header carries a known key; compares with every hash in constant time."""
    scheme, _, key = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthorized(
            "send a key as `Authorization: Bearer <key>`; `turnout keys add` makes one"
        )
    hashed = key_hash(key.strip())
    if not any([hmac.compare_digest(hashed, known) for known in key_hashes]):
        raise Unauthorized("this key is not known here")
