"""Errors about a source, raised with the source's own name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from build.errors import SourceError
from build.sources.source import Unusable


@contextmanager
def naming(source: Path | str) -> Iterator[None]:
    """Turn an error about a source into one that names it: SourceError in place of Unusable."""
    try:
        yield
    except Unusable as error:
        raise SourceError([problem.within(source) for problem in error.problems]) from error
