"""Files that are never opened become few patterns, which name no file that is."""

import pytest

from images.slimming.grouping import patterns_of
from images.slimming.patterns import matches


@pytest.mark.parametrize(
    ("unused", "others", "patterns"),
    [
        (["a/b/c.py", "a/b/d/e.py"], ["a/f.py"], ["a/b"]),
        (["a/b.py"], [], ["a"]),
        (["a/b.pyi", "a/c.pyi", "a/d.py"], ["a/e.py"], ["a/*.pyi", "a/d.py"]),
        (["a/b.pyi"], ["a/e.py"], ["a/b.pyi"]),
        (["a/b", "a/c"], ["a/d"], ["a/b", "a/c"]),
        (["b.py"], ["a/e.py"], ["b.py"]),
        (["a/b/c.py"], ["a/b/LICENSE"], ["a/b/c.py"]),
        ([], ["a/b"], []),
    ],
)
def test_patterns(unused: list[str], others: list[str], patterns: list[str]) -> None:
    assert patterns_of(unused, others) == patterns
    assert [path for path in (*unused, *others) if matches(path, patterns)] == unused
