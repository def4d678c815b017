"""A hash that was put down gives what hashlib gives of all bytes at once."""

import hashlib
import random

import pytest

from turnout.push.sha256 import STATE_BYTES, PlainSha256, Sha256, begun, can_resume, resumed

LENGTHS = [0, 1, 55, 56, 63, 64, 65, 127, 128, 1000, 1 << 16]


@pytest.mark.skipif(not can_resume(), reason="hashlib is not linked with OpenSSL here")
@pytest.mark.parametrize("before", LENGTHS)
@pytest.mark.parametrize("behind", LENGTHS)
def test_a_hash_goes_on_from_where_it_was_put_down(before: int, behind: int) -> None:
    body = random.Random(before * 31 + behind).randbytes(before + behind)
    first = begun()
    first.update(body[:before])
    assert first.hexdigest() == hashlib.sha256(body[:before]).hexdigest()
    second = resumed(first.state())
    assert isinstance(second, PlainSha256)
    second.update(body[before:])
    assert second.hexdigest() == hashlib.sha256(body).hexdigest()
    # Asking for the digest ends nothing.
    assert second.hexdigest() == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("state", ["", "00", "zz" * STATE_BYTES, "0" * (2 * STATE_BYTES + 2)])
def test_what_is_no_state_is_not_gone_on_with(state: str) -> None:
    assert resumed(state) is None


def test_the_hash_of_other_machines_is_that_of_hashlib_and_cannot_be_put_down() -> None:
    made = Sha256()
    made.update(b"turnout")
    assert made.hexdigest() == hashlib.sha256(b"turnout").hexdigest()
    assert made.state() == ""
