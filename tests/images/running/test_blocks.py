"""The blocks of files that were read are seen in the page cache, however they were read."""

import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from images.running import blocks
from images.running.blocks import BLOCK, PAGE, Blocks, forget
from tests.fixtures.paths import ROOT

LAST = b"\x07"


@pytest.fixture
def files() -> Iterator[list[Path]]:
    """Two and a half blocks, nothing, and one and a half, on a disk: a folder for temporary files may lie in memory."""
    (ROOT / ".turnout").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / ".turnout") as folder:
        paths = [Path(folder) / name for name in ("large", "empty", "small")]
        for path, size in zip(paths, (BLOCK * 5 // 2, 0, BLOCK * 3 // 2), strict=True):
            path.write_bytes(os.urandom(max(0, size - 1)) + LAST * bool(size))
        assert forget(paths)
        yield paths


def blocks_read(files: list[Path]) -> Blocks:
    """Return the blocks that this process has read."""
    return blocks.blocks_read(files, [os.getpid()])


def read(path: Path, place: int) -> None:
    """Read one byte of a file, and nothing ahead of it."""
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        assert os.pread(file.fileno(), 1, place)


def test_files_that_nobody_has_read_have_no_block_that_is_read(files: list[Path]) -> None:
    assert blocks_read(files) == Blocks(read=0, of=4)


def test_a_block_is_read_whole_by_one_byte_of_it(files: list[Path]) -> None:
    read(files[0], BLOCK + 5)
    read(files[0], 2 * BLOCK - 1)
    assert blocks_read(files) == Blocks(read=1, of=4)


def test_the_end_of_a_file_and_the_start_of_the_next_share_a_block(files: list[Path]) -> None:
    read(files[0], BLOCK * 5 // 2 - 1)
    read(files[2], 0)
    assert blocks_read(files).read == 1
    read(files[2], BLOCK // 2)
    assert blocks_read(files).read == 2


def test_of_a_file_that_is_mapped_the_pages_count_that_are_touched(files: list[Path]) -> None:
    # All of it is in the page cache, as after a disk has read ahead.
    assert files[0].read_bytes()
    assert blocks_read(files).read == 3
    with files[0].open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[-1:] == LAST
        assert blocks_read(files) == Blocks(read=1, of=4)
        assert mapped[BLOCK // 2 : BLOCK // 2 + 1]
        assert blocks_read(files) == Blocks(read=2, of=4)
        # It could not be told whether the next start has read it.
        assert not forget(files)
    assert forget(files)


def test_a_page_that_was_written_to_had_to_be_read(files: list[Path]) -> None:
    with files[2].open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as own:
        # As the loader writes addresses into a library.
        own[0] = 1
        assert blocks_read(files) == Blocks(read=1, of=4)


def test_a_file_begins_on_a_page_of_its_own(files: list[Path]) -> None:
    for path in files:
        path.write_bytes(b"1")
    assert forget(files)
    assert blocks_read(files * (BLOCK // PAGE // 2)) == Blocks(read=0, of=2)


def test_a_file_that_was_just_written_is_forgotten(files: list[Path]) -> None:
    files[1].write_bytes(os.urandom(BLOCK))
    assert blocks_read(files) == Blocks(read=2, of=5)
    assert forget(files)
    assert blocks_read(files) == Blocks(read=0, of=5)
