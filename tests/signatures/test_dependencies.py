"""The libraries of signatures and bills, and all that they bring, are on the laptop alone: no image has any of it."""

import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.fixtures.paths import ROOT

LOCKED = re.compile(r"^([A-Za-z0-9][\w.-]*)==", re.MULTILINE)
# What the library needs and functions have for other reasons.
SHARED = {
    *("annotated-types", "certifi", "cffi", "charset-normalizer", "click", "cryptography", "idna"),
    *("protobuf", "pycparser", "pydantic", "pydantic-core", "requests", "typing-extensions"),
    *("typing-inspection", "urllib3", "rich", "markdown-it-py", "mdurl", "pygments"),
}


def packages(lock: Path) -> set[str]:
    return {canonicalize_name(name) for name in LOCKED.findall(lock.read_text("utf-8"))}


def needed(name: str, found: set[str]) -> set[str]:
    """Return a package and all that it needs here, directly or not."""
    if name in found:
        return found
    found.add(name)
    try:
        lines = requires(name) or []
    except PackageNotFoundError:  # for another platform
        found.discard(name)
        return found
    for line in map(Requirement, lines):
        if not line.marker or line.marker.evaluate({"extra": ""}):
            needed(canonicalize_name(line.name), found)
    return found


def test_nothing_that_signing_needs_is_in_the_lock_of_an_image() -> None:
    brought = needed("model-signing", needed("cyclonedx-python-lib", set())) - SHARED
    assert {"model-signing", "sigstore", "in-toto-attestation", "cyclonedx-python-lib"} <= brought
    locks = sorted((ROOT / "functions").rglob("requirements*.txt"))
    assert len(locks) > 3
    for lock in locks:
        assert packages(lock) & (brought | {"cryptography", "pyopenssl"}) == set(), lock


def test_the_laptops_lock_has_all_of_it() -> None:
    assert needed("model-signing", set()) <= packages(ROOT / "requirements.txt")
