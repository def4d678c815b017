"""The audit of every lock: known advisories, offline, and then pip-audit, which asks the registry.

`make audit` runs both. What pip-audit cannot ask about is reported as not audited, and never as sound.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
ADVISORIES = ROOT / "scripts/advisories.toml"
# The one lock in which advisories are accepted, each with the reason in docs/security.md.
ACCEPTED_IN = ROOT / "build/export/optimum/requirements.txt"
REASONS = ROOT / "docs/security.md"
PIP_AUDIT = "pip-audit==2.10.1"
SEVERITIES = ("critical", "high", "medium", "low")
PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)
REASON = re.compile(r"^\| (?:\[)?((?:CVE|GHSA)-[\w-]+)", re.MULTILINE)
# Runs pip-audit on a lock, ignoring these ids, and returns its exit status, standard output and standard error.
AskRegistry = Callable[[Path, Sequence[str]], tuple[int, str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One known vulnerability of a package; `affected` are ranges of its versions."""

    id: str
    ecosystem: str
    package: str
    affected: str
    severity: str
    date: date
    source: str

    def affects(self, version: str) -> bool:
        """Return whether a version lies in one of the ranges; a pre-release counts as a version."""
        ranges = map(SpecifierSet, self.affected.split("||"))
        return any(one.contains(Version(version), prereleases=True) for one in ranges)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A version in a lock that an advisory affects."""

    lock: Path
    version: str
    advisory: Advisory

    def __str__(self) -> str:
        known = self.advisory
        return f"{_shown(self.lock)}: {known.package} {self.version}: {known.severity} {known.id}, {known.source}"


def read_advisories(path: Path = ADVISORIES) -> tuple[Advisory, ...]:
    """Return the advisories of a file, in its order."""
    return tuple(Advisory(**row) for row in tomllib.loads(path.read_text("utf-8"))["advisory"])


def locks(root: Path = ROOT) -> list[Path]:
    """Return every lock of the checkout: those of Python packages by their name, and npm's."""
    found = [
        path
        for folder in ("build", "functions", "images", "local", "turnout")
        for path in (root / folder).rglob("requirements*.txt")
    ]
    return [root / "requirements.txt", *sorted(found), root / "package-lock.json"]


def versions(lock: Path) -> list[tuple[str, str]]:
    """Return each package of a lock with its version; one that differs by platform is there several times."""
    text = lock.read_text("utf-8")
    if lock.suffix != ".json":
        return [(canonicalize_name(name), version) for name, version in PINNED.findall(text)]
    packages = json.loads(text)["packages"].items()
    return [
        (place.rpartition("node_modules/")[2], package["version"])
        for place, package in packages
        if place
    ]


def known_findings(lock: Path, advisories: Sequence[Advisory] | None = None) -> Iterator[Finding]:
    """Yield every version in a lock that a known advisory affects."""
    ecosystem = "npm" if lock.suffix == ".json" else "pypi"
    for name, version in versions(lock):
        for advisory in read_advisories() if advisories is None else advisories:
            if (advisory.ecosystem, advisory.package) == (ecosystem, name):
                if advisory.affects(version):
                    yield Finding(lock=lock, version=version, advisory=advisory)


def accepted(lock: Path) -> list[str]:
    """Return the ids that are accepted in a lock, by the table that says why each cannot be reached."""
    return REASON.findall(REASONS.read_text("utf-8")) if lock == ACCEPTED_IN else []


def ask_registry(lock: Path, ignored: Sequence[str]) -> tuple[int, str, str]:
    """Run pip-audit, in an environment of its own, on the pinned versions of a lock."""
    command = ["uv", "tool", "run", "--quiet", PIP_AUDIT, "--strict", "--disable-pip", "--no-deps"]
    command += ["--progress-spinner", "off", "--format", "json", "--requirement", str(lock)]
    command += [argument for id_ in ignored for argument in ("--ignore-vuln", id_)]
    executable = str(Path(sys.executable).with_name("uv"))
    done = subprocess.run([executable, *command[1:]], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def registry_report(lock: Path, ask: AskRegistry = ask_registry) -> tuple[bool, list[str]]:
    """Return whether a lock is free of what the registry knows, or was not audited, and lines that say which."""
    if lock.suffix == ".json":
        return True, [f"{_shown(lock)}: not audited: pip-audit reads Python packages only"]
    status, output, errors = ask(lock, accepted(lock))
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        # With --strict, it ends at the first package that it cannot ask about.
        last = (errors.strip().splitlines() or [f"pip-audit ended with {status}"])[-1]
        return True, [f"{_shown(lock)}: not audited: {last}"]
    found = [
        f"{_shown(lock)}: {package['name']} {package['version']}: {known['id']} ({', '.join(known['aliases'])})"
        for package in packages
        for known in package.get("vulns", ())
    ]
    return not found, found or [f"{_shown(lock)}: no advisory among {len(packages)} packages"]


def _shown(lock: Path) -> str:
    return lock.relative_to(ROOT).as_posix() if lock.is_relative_to(ROOT) else str(lock)


def main() -> None:
    """Print what is known of each lock, and exit with 1 for an advisory that is not accepted."""
    sound = True
    print(f"known advisories ({len(read_advisories())}, offline):")
    for lock in locks():
        for finding in known_findings(lock):
            allowed = finding.advisory.id in accepted(lock)
            sound = sound and allowed
            print(f"  {finding}{' (accepted: docs/security.md)' if allowed else ''}")
    print("the registry, by pip-audit:")
    for lock in locks():
        free, lines = registry_report(lock)
        sound = sound and free
        print("\n".join(f"  {line}" for line in lines))
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
