"""The checksums of parts outlive a push that was cut off, and nothing else does."""

import errno
import io
import random
from pathlib import Path

import pytest

from tests.turnout.push.conftest import sha256
from turnout.push.kept import MIB, Kept, PartsRecord, checksum_of, part_size
from turnout.push.sha256 import can_resume

PART = MIB
PARTS = [random.Random(number).randbytes(PART) for number in range(4)]
SIZE = PART * len(PARTS)

pytestmark = pytest.mark.skipif(not can_resume(), reason="hashlib is not linked with OpenSSL here")


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """Return the records of a folder after two of four parts."""
    made = Kept(tmp_path / "kept", PART)
    with made.record("shard", "v1", SIZE) as record:
        for body in PARTS[:2]:
            record.add(body)
    return made


def file_of(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "kept").iterdir()
    return path


def known(kept: Kept, version: str = "v1", size: int = SIZE) -> list[str]:
    with kept.record("shard", version, size) as record:
        return list(record.checksums)


def test_the_next_push_has_the_parts_and_goes_on_with_the_hash(kept: Kept) -> None:
    with kept.record("shard", "v1", SIZE) as record:
        assert record.checksums == [checksum_of(body) for body in PARTS[:2]]
        assert record.end == 2 * PART
        for body in PARTS[2:]:
            record.add(body)
        assert record.sha256 == sha256(b"".join(PARTS))
    with kept.record("shard", "v1", SIZE) as record:
        assert record.sha256 == sha256(b"".join(PARTS))


def test_a_part_is_compared_with_what_it_was(kept: Kept) -> None:
    with kept.record("shard", "v1", SIZE) as record:
        assert record.is_of(2, PARTS[1])
        assert not record.is_of(2, PARTS[0])
        assert record.is_of(3, PARTS[2])
        assert record.known(3) == checksum_of(PARTS[2])
        assert record.known(4) == ""


def test_another_version_of_a_file_begins_anew(kept: Kept) -> None:
    assert known(kept, "v2") == []
    assert known(kept, "v1") == []


def test_parts_of_another_size_begin_anew(tmp_path: Path, kept: Kept) -> None:
    assert known(Kept(tmp_path / "kept", PART + 1)) == []


def test_a_file_of_one_part_has_no_record(tmp_path: Path) -> None:
    with Kept(tmp_path / "kept", PART).record("config", "v1", PART) as record:
        record.add(PARTS[0])
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_line_that_was_not_written_to_its_end_is_left_out(
    tmp_path: Path, kept: Kept, cut: int
) -> None:
    path = file_of(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert known(kept) == [checksum_of(PARTS[0])]
    with kept.record("shard", "v1", SIZE) as record:
        for body in PARTS[1:]:
            record.add(body)
        assert record.sha256 == sha256(b"".join(PARTS))
    assert len(known(kept)) == len(PARTS)


@pytest.mark.parametrize(
    "text", ["", "[]", "noise\n", '["v1", 1048576]', '["v1", 1048576]\n["a", "b"]\n']
)
def test_a_record_that_is_damaged_begins_anew(tmp_path: Path, kept: Kept, text: str) -> None:
    file_of(tmp_path).write_text(text, "utf-8")
    with kept.record("shard", "v1", SIZE) as record:
        assert record.checksums == []
        record.add(PARTS[0])
    assert known(kept) == [checksum_of(PARTS[0])]


def test_a_record_that_another_push_has_is_left_alone(kept: Kept) -> None:
    with kept.record("shard", "v1", SIZE) as first:
        assert known(kept) == []
        first.add(PARTS[2])
    assert len(known(kept)) == 3


def test_what_is_forgotten_is_not_there_for_the_next_push(kept: Kept) -> None:
    with kept.record("shard", "v1", SIZE) as record:
        record.forget()
        record.add(PARTS[2])
        record.forget()
    assert known(kept) == []


def test_a_place_that_cannot_be_written_costs_no_more_than_the_record(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file", "utf-8")
    with Kept(tmp_path / "kept", PART).record("shard", "v1", SIZE) as record:
        assert record.add(PARTS[0]) == checksum_of(PARTS[0])


class FullDisk(io.StringIO):
    """A file on a disk without room."""

    def write(self, text: str, /) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_costs_no_more_than_the_record() -> None:
    record = PartsRecord(PART, FullDisk(), "v1")
    for body in PARTS:
        record.add(body)
    assert record.sha256 == sha256(b"".join(PARTS))


def test_no_file_has_more_parts_than_s3_takes() -> None:
    assert part_size(1 << 30) == 16 << 20
    assert -(-(5 << 40) // part_size(5 << 40)) <= 10_000
