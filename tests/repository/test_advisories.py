"""Known advisories: no lock has an affected version, but where docs/security.md says why it cannot be reached."""

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from scripts.audit import (
    ACCEPTED_IN,
    SEVERITIES,
    accepted,
    known_findings,
    locks,
    read_advisories,
    registry_report,
    versions,
)
from tests.fixtures.paths import ROOT

ADVISORIES = {advisory.id: advisory for advisory in read_advisories()}


def lock(folder: Path, text: str, name: str = "requirements.txt") -> Path:
    (folder / name).write_text(text, "utf-8")
    return folder / name


def found(path: Path) -> list[str]:
    return [finding.advisory.id for finding in known_findings(path)]


@pytest.mark.slow
@pytest.mark.parametrize("path", locks(), ids=str)
def test_no_lock_has_a_version_with_a_known_advisory_that_is_not_accepted(path: Path) -> None:
    assert [
        str(finding)
        for finding in known_findings(path)
        if finding.advisory.id not in accepted(path)
    ] == []


def test_what_is_accepted_is_still_there_and_nowhere_else() -> None:
    assert sorted(accepted(ACCEPTED_IN)) == sorted(found(ACCEPTED_IN))
    assert [accepted(path) for path in locks() if path != ACCEPTED_IN] == [[]] * (len(locks()) - 1)


@pytest.mark.slow
def test_every_lock_of_the_checkout_is_looked_at() -> None:
    skipped = {".venv", ".turnout", "node_modules", "models.out", "cdk.out"}
    there = [
        path
        for pattern in ("requirements*.txt", "package-lock.json")
        for path in ROOT.rglob(pattern)
        if not skipped & set(path.relative_to(ROOT).parts)
    ]
    assert sorted(locks()) == sorted(there)
    assert all(versions(path) for path in locks())


@pytest.mark.parametrize("advisory", ADVISORIES.values(), ids=str)
def test_an_advisory_is_complete_and_of_a_package_that_we_lock(advisory: object) -> None:
    known = next(one for one in ADVISORIES.values() if one is advisory)
    assert known.id.startswith(("CVE-", "GHSA-"))
    assert known.severity in SEVERITIES
    assert known.source.startswith("https://")
    assert date(2020, 1, 1) < known.date <= date(2026, 12, 31)
    assert all(len(SpecifierSet(one)) for one in known.affected.split("||"))
    locked = [(p.suffix == ".json", name) for p in locks() for name, _ in versions(p)]
    assert (known.ecosystem == "npm", known.package) in locked


def test_each_advisory_is_listed_once() -> None:
    assert len(ADVISORIES) == len(read_advisories()) > 60


def test_a_lock_with_an_affected_version_is_found_by_any_spelling_of_its_name(
    tmp_path: Path,
) -> None:
    text = "torch==2.5.1+cpu\nJinja2==3.1.4 \\\n  --hash=sha256:00\nTensorFlow_CPU==2.10 ; os_name == 'nt'\n"
    assert sorted(found(lock(tmp_path, text))) == [
        "CVE-2023-25668",
        "CVE-2024-56201",
        "CVE-2024-56326",
        "CVE-2025-27516",
        "CVE-2025-2999",
        "CVE-2025-32434",
        "CVE-2026-24747",
        "CVE-2026-4538",
    ]
    npm = {"packages": {"": {}, "node_modules/aws-cdk": {"version": "2.175.0"}}}
    assert found(lock(tmp_path, json.dumps(npm), "package-lock.json")) == ["CVE-2025-2598"]


@pytest.mark.parametrize(
    ("id_", "affected", "sound"),
    [
        ("CVE-2026-4372", ("4.57.6", "5.0.0rc1", "5.2.9"), ("5.3.0", "5.24.0")),
        ("CVE-2026-80047", ("4.57.6", "5.8.1"), ("5.9.0",)),
        ("CVE-2026-1839", ("5.0.0rc2",), ("5.0.0rc3", "5.0.0")),
        ("CVE-2026-12481", ("3.14.0", "3.12.2", "2.9"), ("3.12.3", "3.15.0")),
        ("CVE-2025-62727", ("0.39.0", "0.49.0"), ("0.38.9", "0.49.1")),
    ],
)
def test_ranges_end_where_the_source_says(
    id_: str, affected: tuple[str, ...], sound: tuple[str, ...]
) -> None:
    assert all(map(ADVISORIES[id_].affects, affected))
    assert not any(map(ADVISORIES[id_].affects, sound))


def test_what_the_registry_knows_is_told_and_fails() -> None:
    document = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"]}]},
            {"name": "b", "version": "2", "vulns": []},
        ]
    }
    free, lines = registry_report(locks()[0], lambda *_: (1, json.dumps(document), ""))
    assert (free, lines) == (False, ["requirements.txt: a 1: PYSEC-1 (CVE-1)"])


def test_what_could_not_be_audited_is_told_as_that() -> None:
    error = "ERROR:pip_audit._cli:numpy: Dependency not found on PyPI and could not be audited"
    free, lines = registry_report(locks()[0], lambda *_: (1, "", f"WARNING\n{error}\n"))
    assert (free, lines) == (True, [f"requirements.txt: not audited: {error}"])
    free, lines = registry_report(ROOT / "package-lock.json")
    assert lines == ["package-lock.json: not audited: pip-audit reads Python packages only"]


def test_pip_audit_is_told_what_is_accepted_in_that_lock() -> None:
    asked: list[tuple[Path, list[str]]] = []

    def ask(path: Path, ignored: Sequence[str]) -> tuple[int, str, str]:
        asked.append((path, list(ignored)))
        return 0, '{"dependencies": []}', ""

    for path in (ACCEPTED_IN, ROOT / "requirements.txt"):
        registry_report(path, ask)
    assert asked == [(ACCEPTED_IN, accepted(ACCEPTED_IN)), (ROOT / "requirements.txt", [])]
