"""The check of `trusted_keys`: a model is signed by one of them, or there are problems that say what to do."""

from collections.abc import Callable, Sequence
from pathlib import Path

from contracts.problems import Code, Problem
from signatures.errors import Refused
from signatures.folder import check_folder
from signatures.keys import TrustedKey, trusted_keys
from signatures.places import artefact_signature
from signatures.signed import Signed


def find_signature(
    root: Path,
    places: Sequence[Path],
    keys: Sequence[TrustedKey],
    command: str,
    needed: Callable[[str], bool] = lambda name: True,
    read: Callable[[str], bool] = lambda name: True,
) -> tuple[Signed | None, list[Problem]]:
    """Return what the first signature says that is by one of the keys and about what the folder holds, or the problems.

    `command` makes a signature; `needed` and `read` are those of `check_folder`.
    """
    there = [place for place in places if place.is_file()]
    if not there:
        where, trusted = " or ".join(map(str, places)), ", ".join(map(str, keys))
        message = f"has no signature at {where}, and trusted are {trusted}; `{command}` makes one"
        return None, [Problem(code=Code.SIGNATURE_MISSING, where=str(root), message=message)]
    problems = []
    for place in there:
        try:
            return check_folder(root, place, keys, needed, read), []
        except Refused as refused:
            of_signature = refused.problem.code != Code.SIGNATURE_DIFFERS
            problems.append(refused.problem.within(place if of_signature else root))
    return None, problems


def artefact_problems(model: str, artefact: Path, trusted: Sequence[Path]) -> list[Problem]:
    """Return the problems of an artefact whose model names keys that are trusted; none where it names no key."""
    if not trusted:
        return []
    keys, problems = trusted_keys(trusted)
    if not problems:
        _, problems = artefact_signed(model, artefact, keys)
    return [problem.within(model) for problem in problems]


def artefact_signed(
    model: str, artefact: Path, keys: Sequence[TrustedKey]
) -> tuple[Signed | None, list[Problem]]:
    """Return what the signature of an artefact says, or the problems with it."""
    command = f"turnout sign {model} --key KEY"
    return find_signature(artefact, [artefact_signature(artefact)], keys, command)
