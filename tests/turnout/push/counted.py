"""A place of files that counts the bytes that are read of each."""

from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from turnout.push.tree import Reader, Tree


class CountedReader:
    """A reader that counts."""

    def __init__(self, reader: Reader, path: str, read: Counter[str]) -> None:
        self._reader, self._path, self._read = reader, path, read

    def read(self, size: int, /) -> bytes:
        body = self._reader.read(size)
        self._read[self._path] += len(body)
        return body

    def seek(self, offset: int, /) -> int:
        return self._reader.seek(offset)

    def __enter__(self) -> Self:
        self._reader.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self._reader.__exit__(kind, error, trace)


class Counted:
    """A place whose shards' bytes are counted; `version` stands for that of every file, if given."""

    def __init__(self, tree: Tree, version: str = "") -> None:
        self._tree, self._version = tree, version
        self.read: Counter[str] = Counter()

    @property
    def origin(self) -> str:
        return self._tree.origin

    @property
    def named(self) -> str:
        return self._tree.named

    @property
    def sizes(self) -> Mapping[str, int]:
        return self._tree.sizes

    @property
    def shards(self) -> int:
        """Return the bytes that were read of shards."""
        return sum(count for path, count in self.read.items() if path.endswith(".safetensors"))

    def open(self, path: str) -> Reader:
        return CountedReader(self._tree.open(path), path, self.read)

    def stated(self, path: str) -> str:
        return self._tree.stated(path)

    def identity(self, path: str) -> tuple[str, str]:
        place, version = self._tree.identity(path)
        return place, self._version or version
