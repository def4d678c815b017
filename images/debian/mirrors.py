"""The mirrors of Debian that this machine's apt is set up with, asked for another release than the machine's own."""

import platform
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from contracts.problems import Code, Problem
from images.errors import ImageError

APT = Path("/etc/apt")
# Signs every release; a machine's own sources may name the key of its own release only.
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# sources.list(5): one line for a source, or a stanza of fields.
LINE = re.compile(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s", re.MULTILINE)
FIELD = re.compile(r"^(\w[\w-]*):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)


def sources_of(release: str, codename: str | None = None, folder: Path = APT) -> tuple[str, ...]:
    """Return lines of `sources.list` for a release and its security updates, by the mirrors of this machine's own.

    Raise ImageError where apt has none.
    """
    own = codename or platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    mirrors = {suite: uri for uri, suite in _configured(folder)}
    suites = [f"{own}{part}" for part in ("", "-security")]
    if not own or suites[0] not in mirrors:
        message = f"apt has no mirror of Debian in {folder}; add one, or take a base that is pulled"
        problem = Problem(code=Code.BASE_UNAVAILABLE, message=message)
        raise ImageError("Debian's packages for the base", [problem])
    return tuple(
        f"deb [signed-by={KEYRING}] {mirrors[suite]} {suite.replace(own, release, 1)} main"
        for suite in suites
        if suite in mirrors
    )


def _configured(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the address and the suite of each source, whichever of the two forms it has."""
    lists = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]
    for text in _texts(lists):
        yield from LINE.findall(text)
    for text in _texts(sorted(folder.glob("sources.list.d/*.sources"))):
        for stanza in re.split(r"\n\s*\n", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)):
            fields = {name.lower(): value.split() for name, value in FIELD.findall(stanza)}
            if "deb" in fields.get("types", ()) and fields.get("enabled") != ["no"]:
                for suite in fields.get("suites", ()):
                    yield from ((uri, suite) for uri in fields.get("uris", ())[:1])


def _texts(files: Iterable[Path]) -> Iterator[str]:
    for file in files:
        if file.is_file():
            yield file.read_text("utf-8", errors="replace") + "\n"
