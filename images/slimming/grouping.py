"""Files that were never opened, grouped into the fewest patterns that name them and no other file."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath


def patterns_of(unused: Iterable[str], others: Collection[str]) -> list[str]:
    """Return patterns that match the unused files and none of the others, sorted.

    A folder of unused files alone is one pattern. In other folders, so are the files of one suffix if there are several
    and all of them are unused.
    """
    used_folders = {str(parent) for path in others for parent in PurePosixPath(path).parents}
    kept_kinds = {_kind(path) for path in others}
    alone: defaultdict[str, list[str]] = defaultdict(list)
    patterns: set[str] = set()
    for path in unused:
        above = [str(parent) for parent in reversed(PurePosixPath(path).parents)][1:]
        folder = next((parent for parent in above if parent not in used_folders), "")
        if folder:
            patterns.add(folder)
        else:
            alone[_kind(path)].append(path)
    for kind, paths in alone.items():
        several = len(paths) > 1 and kind not in kept_kinds
        patterns.update([kind] if several else paths)
    return sorted(patterns)


def _kind(path: str) -> str:
    """Return the pattern of all files of a path's folder with its suffix; the path itself where it has none."""
    file = PurePosixPath(path)
    return str(file.with_name(f"*{file.suffix}")) if file.suffix else path
