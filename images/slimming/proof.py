"""The proof of a slimmed image: it answers as with all of its files, or the pieces that make a difference go back."""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from contracts.problems import Code, Problem
from images.blob import link_or_copy
from images.errors import ImageError
from images.folders.half_made import half_made
from images.layer import Entry
from images.oci.layout import Settings
from images.slimming.function import Case, check_isolation, replies, without_times
from images.slimming.pieces import Pieces

Holds = Callable[[Sequence[str]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slimmed:
    """The files of a slimmed image in a folder, its settings, and what it does without."""

    root: Path
    settings: Settings
    pieces: Pieces


def pieces_needed(slimmed: Slimmed, cases: Iterable[Case], work: Path) -> tuple[str, ...]:
    """Return the fewest pieces found without which a reply differs from the whole image's, in the order of the table.

    Each case is replayed in the slimmed image and in the whole one. Of those that differ, the replies of images with
    some pieces restored are compared until one piece after another is found. Raise ImageError where an image cannot be
    started here, and where the whole image differs from itself, so that nothing can be compared.
    """
    check_isolation(slimmed.root, slimmed.settings)
    with half_made(work) as folder:
        whole = restored(slimmed, tuple(slimmed.pieces), folder / "root")
        differing = [
            differs
            for case in cases
            if (differs := _differing(case, slimmed.root, whole, slimmed.settings))
        ]
        for case, expected in differing:
            if _replies(whole, slimmed.settings, case) != expected:
                message = (
                    "the whole image replies to one request in two ways; no slimming can be proven"
                )
                problem = Problem(code=Code.IMAGE_UNPROVEN, message=message, where=_shown(case))
                raise ImageError("the slimmed image", [problem])

    def holds(names: Sequence[str]) -> bool:
        with half_made(work) as folder:
            root = restored(slimmed, names, folder / "root")
            return all(
                _replies(root, slimmed.settings, case) == expected for case, expected in differing
            )

    found = needed(tuple(slimmed.pieces), holds) if differing else []
    return tuple(name for name in slimmed.pieces if name in found)


def needed(names: Sequence[str], holds: Holds) -> list[str]:
    """Return names, the last of all first, without which something does not hold that holds with all of them.

    Each is found by bisection, so a few among n names take about log2 n tries each.
    """
    found: list[str] = []
    while not holds(found):
        low, high = 0, len(names)
        while high - low > 1:
            middle = (low + high) // 2
            if holds([*found, *names[:middle]]):
                high = middle
            else:
                low = middle
        # It holds with these, and not without the last of them.
        found.append(names[high - 1])
        names = names[: high - 1]
    return found


def restored(slimmed: Slimmed, names: Iterable[str], root: Path) -> Path:
    """Make a folder of the slimmed image's files and those of some pieces; return it."""
    entries = [entry for name in names for entry in slimmed.pieces[name]]
    return with_entries(slimmed.root, entries, root)


def with_entries(files: Path, entries: Iterable[Entry], root: Path) -> Path:
    """Make a folder of another one's files, which are linked, and of entries; return it."""
    # `shutil.copytree` goes on after each error, and reports a full disk once for each file.
    for folder, folders, names in os.walk(files):
        into = root / Path(folder).relative_to(files)
        into.mkdir(parents=True, exist_ok=True)
        for name in (*folders, *names):
            source = Path(folder, name)
            if source.is_symlink():
                (into / name).symlink_to(os.readlink(source))
            elif name in names:
                link_or_copy(source, into / name)
    for folder, _, _ in os.walk(files):
        shutil.copymode(folder, root / Path(folder).relative_to(files))
    place_entries(entries, root)
    return root


def place_entries(entries: Iterable[Entry], root: Path) -> None:
    """Write entries as files, folders and links below a folder; copies, as what runs there could change them."""
    for entry in entries:
        place = root / entry.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.link:
            place.symlink_to(entry.link)
        elif entry.source is None:
            place.mkdir(exist_ok=True)
        elif isinstance(entry.source, bytes):
            place.write_bytes(entry.source)
        else:
            shutil.copyfile(entry.source, place)
        if entry.source is not None:
            place.chmod(0o755 if entry.executable else 0o644)


def _differing(
    case: Case, slim: Path, whole: Path, settings: Settings
) -> tuple[Case, list[object]] | None:
    """Return a case of the payloads that differ, with the whole image's replies; None if all are the same."""
    expected, found = (_replies(root, settings, case) for root in (whole, slim))
    payloads = [
        payload
        for payload, one, other in zip(case.payloads, expected, found, strict=True)
        if one != other
    ]
    if not payloads:
        return None
    # A reply holds the request's number, so those that are replayed alone are asked for again.
    smaller = replace(case, payloads=tuple(payloads))
    return smaller, _replies(whole, settings, smaller)


def _replies(root: Path, settings: Settings, case: Case) -> list[object]:
    return [without_times(reply) for reply in replies(root, settings, case)]


def _shown(case: Case) -> str:
    return case.payloads[0][:80].decode(errors="replace")
