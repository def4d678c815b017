"""`turnout keys`: the bearer keys that the router accepts, of which `keys.toml` holds the SHA-256; no key is stored."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from contracts.errors import TurnoutError
from contracts.keys import key_hash, new_key

HEADER = "# Bearer keys the router accepts, by their SHA-256. `turnout keys` writes this file; it holds no secret.\n"
_HASH = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class KeysError(TurnoutError):
    """The keys file is invalid, or the name of a key is invalid, taken or unknown."""

    code = "keys_invalid"


def read_keys(path: Path) -> dict[str, str]:
    """Return key hashes by name, none if there is no file; raise KeysError if the file is invalid."""
    if not path.exists():
        return {}
    try:
        table = tomllib.loads(path.read_text("utf-8")).get("keys", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KeysError(
            f"{path} is not TOML: {error}; correct it, or remove it and make new keys"
        ) from error
    # A value in TOML may be a number or a table as well.
    invalid = [name for name, value in table.items() if not _HASH.fullmatch(str(value))]
    if invalid:
        raise KeysError(
            f"{path}: {', '.join(invalid)}: not a SHA-256 in hexadecimal; make the key again with `turnout keys add`"
        )
    return dict(table)


def add_key(path: Path, name: str) -> str:
    """Make a key, store its hash under `name`, return the key; raise KeysError if the name is taken or invalid."""
    if not _NAME.fullmatch(name):
        raise KeysError(
            f"{name!r} cannot name a key; use lower-case letters, digits and hyphens, 32 at most"
        )
    keys = read_keys(path)
    if name in keys:
        raise KeysError(
            f"{path} has a key named {name}; remove it with `turnout keys remove {name}` first"
        )
    # Only the hash is kept: whoever reads the file, a log or the router's image cannot call the endpoint.
    key = new_key()
    write_keys(path, {**keys, name: key_hash(key)})
    return key


def remove_key(path: Path, name: str) -> None:
    keys = read_keys(path)
    if name not in keys:
        raise KeysError(f"{path} has no key named {name}; it has: {', '.join(keys) or 'none'}")
    del keys[name]
    write_keys(path, keys)


def write_keys(path: Path, keys: Mapping[str, str]) -> None:
    """Replace the file in one step, so that a deployment never reads a half of it."""
    lines = "".join(f'{name} = "{value}"\n' for name, value in sorted(keys.items()))
    path.parent.mkdir(parents=True, exist_ok=True)
    # A rename replaces a file at once; a write that is interrupted leaves the older keys as they were.
    half = path.with_suffix(".toml.half")
    half.write_text(f"{HEADER}\n[keys]\n{lines}", "utf-8")
    os.replace(half, path)
