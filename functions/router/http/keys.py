"""Authorization: `Authorization: Bearer <key>`, compared with the SHA-256 of the known keys."""

import hmac
from collections.abc import Mapping

from contracts.http_errors import Unauthorized
from contracts.keys import key_hash


def authorize(header: str | None, key_hashes: Mapping[str, str]) -> str:
    """Return the name of the known key that the header carries, by the keys' hashes; raise Unauthorized without one."""
    scheme, _, key = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthorized(
            "send a key as `Authorization: Bearer <key>`; `turnout keys add` makes one"
        )
    hashed = key_hash(key.strip())
    # Every hash is compared, in constant time: the time of an answer says nothing about the keys.
    names = [name for name, known in key_hashes.items() if hmac.compare_digest(hashed, known)]
    if not names:
        raise Unauthorized("this key is not known here")
    return names[0]
