"""The body of a request: its bytes, decompressed and bounded, and the JSON value in them.

JSON leaves to the reader what to do with repeated keys, numbers of any size and a byte order mark (RFC 8259). They are
read here as I-JSON restricts them (RFC 7493), so that the router and the tiers read every body alike.
"""

import json
import math
import sys
import zlib
from collections import Counter
from collections.abc import AsyncIterable, Iterator
from typing import Any

from contracts.http_errors import (
    MalformedRequest,
    RequestProblem,
    TooLarge,
    UnsupportedEncoding,
    pointer,
    shown,
)

GZIP = ("gzip", "x-gzip")
# Each member of a gzip body costs a copy of what follows it; a file that is compressed in blocks of 64 KB has 160.
MAX_MEMBERS = 256
# The first bytes of gzip, the second of which is no UTF-8, after they were decoded as text and encoded again.
GZIP_AS_TEXT = "\x1f\ufffd".encode()
# The longest parameter of a task has 256 texts.
MAX_VALUES = 10_000


async def read_body(chunks: AsyncIterable[bytes], max_bytes: int) -> bytes:
    """Return a whole body; raise TooLarge as soon as it is longer than the limit."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > max_bytes:
            raise TooLarge(f"the body is over {max_bytes >> 20} MB")
    return bytes(body)


async def read_document(
    chunks: AsyncIterable[bytes], content_encoding: str | None, max_bytes: int
) -> object:
    """Return the JSON value of a body, which may be compressed as its header `Content-Encoding` tells.

    The limit is on the body as it is sent, and again on what it inflates to. Raise UnsupportedEncoding, TooLarge or
    MalformedRequest.
    """
    compressed = is_gzip(content_encoding)
    body = await read_body(chunks, max_bytes)
    return read_json(inflate(body, max_bytes) if compressed else body)


def is_gzip(content_encoding: str | None) -> bool:
    """Return True for gzip, False for a body as it is; raise UnsupportedEncoding for any other encoding."""
    names = [name.strip().lower() for name in (content_encoding or "").split(",")]
    match [name for name in names if name not in ("", "identity")]:
        case []:
            return False
        case [name] if name in GZIP:
            return True
    # Several encodings are refused as well: a body that was compressed twice inflates to a million times its size.
    raise UnsupportedEncoding(
        f'the Content-Encoding "{shown(content_encoding or "")}" is not supported; send gzip, or the body as it is'
    )


def inflate(body: bytes, max_bytes: int) -> bytes:
    """Return the content of a gzip body (RFC 1952), of all its members.

    Raise TooLarge once the content is longer than the limit, MalformedRequest for anything but whole members.
    """
    if body.startswith(GZIP_AS_TEXT):
        raise MalformedRequest(
            "the gzip body was read as text on its way; send it with Content-Type: application/octet-stream"
        )
    content, rest = bytearray(), body
    for number in range(1, MAX_MEMBERS + 1):
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            # Never 0, which would be no limit. One byte more than the limit shows that there is more.
            content += member.decompress(rest, max_bytes + 1 - len(content))
        except zlib.error as error:
            place = "the body" if number == 1 else f"what follows the {number - 1}. gzip member"
            raise MalformedRequest(f"{place} is not gzip, or is damaged") from error
        if len(content) > max_bytes:
            raise TooLarge(f"the body inflates to over {max_bytes >> 20} MB")
        if not member.eof:
            raise MalformedRequest("the gzip body is cut short")
        if not (rest := member.unused_data):
            return bytes(content)
    raise MalformedRequest(f"the gzip body has more than {MAX_MEMBERS} members")


def read_json(body: bytes) -> object:
    """Return the value of a JSON text; raise MalformedRequest with the place where it stops being one."""
    encoding = json.detect_encoding(body)
    if not encoding.startswith("utf-8"):
        raise MalformedRequest(f"the body is {encoding.upper()} text; JSON is sent as UTF-8")
    try:
        # A byte order mark may be ignored (RFC 8259, section 8.1), and some editors and shells send one.
        text = body.decode("utf-8").removeprefix("\ufeff")
        return json.loads(
            text,
            # Python would read NaN and Infinity, which JSON has not (section 6).
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_unique,
        )
    except UnicodeDecodeError as error:
        raise MalformedRequest(
            f"the body is not UTF-8 text: byte {error.start} is invalid"
        ) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise MalformedRequest(f"the body is not JSON: {error.msg} at {where}") from error
    except RecursionError as error:
        raise MalformedRequest("the body is not a request: it is nested too deeply") from error
    except ValueError as error:
        # Python converts no longer ones, since the time that takes is quadratic (CVE-2020-10735).
        most = sys.get_int_max_str_digits()
        raise MalformedRequest(f"the body has an integer of more than {most} digits") from error


def _refuse_constant(word: str) -> object:
    raise MalformedRequest(f"the body is not JSON: {word} is not a JSON number")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        # It would be sent on as Infinity, which is not JSON.
        raise MalformedRequest(
            f"the number {shown(number)} is beyond 1.8e308, the largest that is read"
        )
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; raise MalformedRequest for a repeated key, of which other readers take another value."""
    found = dict(pairs)
    if len(found) < len(pairs):
        ((repeated, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise MalformedRequest(f'an object has the key "{shown(repeated)}" more than once')
    return found


def half_surrogate(text: str) -> str | None:
    """Return the problem of a text that cannot be written as UTF-8; None if it can."""
    try:
        # JSON can escape half a surrogate pair, which tokenizers and UTF-8 responses cannot hold.
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "holds half a surrogate pair, which no UTF-8 text can"
    return None


def value_problems(key: str, value: object, deepest: int) -> Iterator[RequestProblem]:
    """Yield what the value of a key may not hold: too much, too deep, or no JSON.

    Whatever is read is written again for the tier, within Python's own limit on recursion. There is none here: the
    caller chooses the depth.
    """
    waiting: list[tuple[tuple[str, ...], Any]] = [((key,), value)]
    seen = 0
    while waiting:
        place, value = waiting.pop()
        seen += 1
        if detail := _value_problem(value, len(place), deepest):
            yield RequestProblem(pointer=pointer(*place), detail=detail)
        elif isinstance(value, dict | list):
            if seen + len(waiting) + len(value) > MAX_VALUES:
                yield RequestProblem(
                    pointer=pointer(key), detail=f"hold more than {MAX_VALUES} values"
                )
                return
            items = value.items() if isinstance(value, dict) else enumerate(value)
            # The last is popped first.
            waiting += [((*place, str(name)), item) for name, item in items][::-1]


def _value_problem(value: object, depth: int, deepest: int) -> str | None:
    if depth > deepest:
        return f"is nested more than {deepest} deep"
    match value:
        case str():
            return half_surrogate(value)
        case float() if not math.isfinite(value):
            # From a caller of the function itself, whose runtime reads Infinity and NaN, which are not JSON.
            return "is not a finite number"
        case dict():
            if any(map(half_surrogate, value)):
                return "has a key with half a surrogate pair, which no UTF-8 text can hold"
    return None
