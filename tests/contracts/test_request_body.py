"""Bodies of requests: their encodings, and all that JSON leaves to its reader."""

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest

from contracts.http_errors import MalformedRequest, TooLarge
from contracts.request_body import MAX_MEMBERS, inflate, is_gzip, read_document, read_json
from tests.fixtures.problems import raises

MB = 2**20
TEXT = json.dumps({"inputs": ["größer", "😀"]}, ensure_ascii=False)


@pytest.mark.parametrize(
    ("body", "places"),
    [
        (b"{", ("JSON", "line 1, column 2")),
        (b"", ("JSON", "line 1, column 1")),
        (b" \n\t", ("JSON", "line 2, column 2")),
        (b"\x00", ("JSON", "line 1, column 1")),
        (b'{"inputs": "a\x01b"}', ("JSON", "control character", "column 14")),
        (b'{"inputs": "a"} x', ("JSON", "line 1, column 17")),
        (b"{'inputs': 'a'}", ("JSON", "line 1, column 2")),
        (b"inputs=a", ("JSON", "line 1, column 1")),
        (b'{"inputs": "\xff"}', ("UTF-8", "byte 12")),
        (b'{"inputs": "\xed\xa0\x80"}', ("UTF-8", "byte 12")),
        (b'{"inputs": NaN}', ("JSON", "NaN")),
        (b"[-Infinity]", ("JSON", "-Infinity")),
        (b"[" * 100_000, ("nested",)),
        (b'{"a":' * 100_000, ("nested",)),
        (b"9" * 5_000, ("integer", "4300")),
        (b"-" + b"9" * 5_000, ("integer", "4300")),
        (b"[1e999]", ("1e999", "1.8e308")),
        (b"[-1.5E+400]", ("-1.5E+400", "1.8e308")),
        (b"9" * 5_000 + b".5", ("9" * 200 + "…", "1.8e308")),
        (b'{"a": 1, "a": 1}', ('"a"', "more than once")),
        (b'{"x": [{"k": 1, "\\u006b": 2}]}', ('"k"', "more than once")),
        (b'{"\\ud800": 1, "\\ud800": 2}', ("\\ud800", "more than once")),
    ],
)
def test_a_body_that_not_everyone_reads_alike_is_refused_with_the_place(
    body: bytes, places: tuple[str, ...]
) -> None:
    with raises("malformed_request", *places):
        read_json(body)


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_another_encoding_of_unicode_is_named(encoding: str) -> None:
    with raises("malformed_request", encoding.upper(), "UTF-8"):
        read_json(TEXT.encode(encoding))


def test_a_byte_order_mark_is_ignored_once() -> None:
    assert read_json(b"\xef\xbb\xbf" + TEXT.encode()) == json.loads(TEXT)
    with raises("malformed_request", "JSON", "line 1, column 1"):
        read_json(b"\xef\xbb\xbf\xef\xbb\xbf{}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-0", 0),
        ("1e308", 1e308),
        ("1e-999", 0.0),
        ("1E5", 1e5),
        ("9" * 4_300, 10**4_300 - 1),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\u0000\\u001f\\u007f"', "\x00\x1f\x7f"),
        ('{"a": {"a": {"a": 1}}}', {"a": {"a": {"a": 1}}}),
    ],
)
def test_numbers_and_escapes_that_a_float64_and_utf_8_hold_are_read(
    text: str, value: object
) -> None:
    assert read_json(text.encode()) == value


@pytest.mark.parametrize(
    ("header", "compressed"),
    [
        (None, False),
        ("", False),
        ("identity", False),
        ("gzip", True),
        (" GZip ", True),
        ("x-gzip", True),
        ("identity, gzip", True),
    ],
)
def test_a_body_is_sent_as_it_is_or_in_gzip(header: str | None, compressed: bool) -> None:
    assert is_gzip(header) is compressed


@pytest.mark.parametrize("header", ["br", "deflate", "zstd", "gzip, gzip", "gzip;q=1", "b" * 500])
def test_any_other_encoding_is_refused_by_name(header: str) -> None:
    with raises("unsupported_encoding", header[:200], "send gzip"):
        is_gzip(header)


def test_several_members_are_one_body() -> None:
    halves = TEXT.encode()[:9], TEXT.encode()[9:]
    assert inflate(b"".join(map(gzip.compress, halves)), MB) == TEXT.encode()
    assert inflate(gzip.compress(b"x") * MAX_MEMBERS, MB) == b"x" * MAX_MEMBERS


GOOD = gzip.compress(TEXT.encode() * 9)


@pytest.mark.parametrize(
    ("body", "things"),
    [
        (b"", ("cut short",)),
        (GOOD[:5], ("cut short",)),
        (GOOD[:-9], ("cut short",)),
        (GOOD[:-1], ("cut short",)),
        (GOOD + GOOD[:-1], ("cut short",)),
        (TEXT.encode(), ("not gzip",)),
        (zlib.compress(TEXT.encode()), ("not gzip",)),
        (GOOD + b"more", ("what follows the 1. gzip member",)),
        (GOOD + b"\0" * 512, ("what follows the 1. gzip member",)),
        (GOOD[:-8] + bytes(8), ("damaged",)),
        (GOOD[:20] + b"\xff\xff" + GOOD[22:], ("damaged",)),
        (gzip.compress(b"") * (MAX_MEMBERS + 1), ("256 members",)),
        (GOOD.decode("utf-8", "replace").encode(), ("text", "application/octet-stream")),
    ],
    ids=[
        "empty",
        "half a header",
        "no trailer",
        "a byte less",
        "second cut",
        "not compressed",
        "zlib",
        "trailing text",
        "trailing zeros",
        "checksum",
        "changed",
        "many members",
        "decoded as text",
    ],
)
def test_what_is_not_whole_members_is_refused(body: bytes, things: tuple[str, ...]) -> None:
    with raises("malformed_request", *things):
        inflate(body, MB)


@pytest.mark.slow
def test_a_bomb_is_refused_after_the_limit_and_not_after_its_end() -> None:
    zeros = gzip.compress(bytes(100 * MB), 1)
    assert len(zeros) < MB
    tracemalloc.start()
    try:
        # Cut as well: a body that is too large is so before its end is looked at.
        for bomb in (zeros, zeros[:-9], gzip.compress(bytes(MB)) * 11):
            with raises("too_large", "inflates to over 10 MB"):
                inflate(bomb, 10 * MB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The content, and a copy while its pieces are joined.
    assert peak < 40 * MB


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    assert len(inflate(gzip.compress(b"a" * MB), MB)) == MB
    assert len(inflate(gzip.compress(b"a" * (MB - 1)) + gzip.compress(b"a"), MB)) == MB
    with pytest.raises(TooLarge):
        inflate(gzip.compress(b"a" * (MB + 1)), MB)


def read(*chunks: bytes, encoding: str | None = None, max_bytes: int = MB) -> object:
    async def sent() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    # A loop of its own: asyncio.run would drop the thread's loop, which the handlers of other tests use, unclosed.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(read_document(sent(), encoding, max_bytes))


def test_a_body_arrives_in_any_chunks() -> None:
    packed = gzip.compress(TEXT.encode())
    single = [packed[i : i + 1] for i in range(len(packed))]
    assert read(*single, encoding="gzip") == read(TEXT.encode()) == json.loads(TEXT)


def test_both_lengths_are_limited() -> None:
    with raises("too_large", "the body is over 1 MB"):
        read(b" " * MB, b"1")
    noise = b"".join(zlib.crc32(i.to_bytes(4)).to_bytes(4) for i in range(MB // 4 + 9))
    with raises("too_large", "the body is over 1 MB"):
        read(gzip.compress(noise), encoding="gzip")
    with raises("too_large", "inflates to over 1 MB"):
        read(gzip.compress(b" " * MB + b"1"), encoding="gzip")


def test_a_body_that_says_gzip_and_is_text_is_no_request() -> None:
    with pytest.raises(MalformedRequest):
        read(TEXT.encode(), encoding="gzip")
