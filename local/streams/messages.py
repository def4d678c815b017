"""Messages of AWS's event streams, as bytes.

A message is its length and that of its headers, their checksum, the headers, the payload, and the checksum of it all.
https://smithy.io/2.0/aws/amazon-eventstream.html
"""

import json
import struct
import zlib
from collections.abc import Mapping

EVENT_STREAM = "application/vnd.amazon.eventstream"
# The type of a header's value that is a text.
TEXT = 7


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return a message whose headers are texts."""
    encoded = b"".join(_header(name, value) for name, value in headers.items())
    # Three numbers before the headers, and one behind the payload.
    prelude = struct.pack(">II", len(encoded) + len(payload) + 16, len(encoded))
    begun = prelude + struct.pack(">I", zlib.crc32(prelude)) + encoded + payload
    return begun + struct.pack(">I", zlib.crc32(begun))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return bytes([len(key)]) + key + struct.pack(">BH", TEXT, len(text)) + text


def part(event: str, payload: bytes) -> bytes:
    """Return an event of bytes."""
    headers = {
        ":event-type": event,
        ":content-type": "application/octet-stream",
        ":message-type": "event",
    }
    return message(headers, payload)


def event(name: str, members: Mapping[str, str]) -> bytes:
    """Return an event of members."""
    headers = {
        ":event-type": name,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return message(headers, json.dumps(members).encode())


def exception(name: str, members: Mapping[str, str]) -> bytes:
    """Return an exception, which ends a stream."""
    headers = {
        ":exception-type": name,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return message(headers, json.dumps(members).encode())
