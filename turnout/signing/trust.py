"""The signature of an artefact, and the statements about it, by the keys that a user trusts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.problems import Problem

if TYPE_CHECKING:
    from build.proof.replay import Replay
    from signatures.keys import TrustedKey
    from signatures.statement import TestResult


def keys_of(option: str, paths: Sequence[Path]) -> "tuple[TrustedKey, ...]":
    """Return the keys of an option; raise SigningFailed with every one that cannot be used."""
    from signatures.errors import SigningFailed
    from signatures.keys import trusted_keys

    keys, problems = trusted_keys(paths)
    if problems:
        raise SigningFailed(f"the keys of {option} cannot be used", problems)
    return keys


def signature_of(folder: Path, keys: "Sequence[TrustedKey]") -> dict[str, str]:
    """Return the key that signed an artefact and the digest that it signed, or the problem."""
    from signatures.check import artefact_signed

    signed, problems = artefact_signed(folder.parent.name, folder, keys)
    return {
        "by": str(signed.by) if signed else "",
        "digest": signed.root if signed else "",
        "problem": "; ".join(map(_told, problems)),
    }


def vouched_for(folder: Path, ran: "Replay", key: "TrustedKey") -> dict[str, str]:
    """Return whose statement an artefact that holds is to have, and the problem with that, if any."""
    from signatures.errors import Refused
    from signatures.statement import check_statement

    try:
        check_statement(folder, key, outcome_of(folder, ran))
    except Refused as refused:
        return {"by": str(key), "problem": _told(refused.problem)}
    return {"by": str(key), "problem": ""}


def outcome_of(folder: Path, ran: "Replay") -> "TestResult":
    """Return the outcome of a replay that holds, as a statement has it."""
    from build.proof.golden import golden_path
    from contracts.manifest import file_sha256, read_manifest
    from signatures.statement import TestResult

    return TestResult(
        golden=file_sha256(golden_path(folder)),
        rows=ran.rows,
        gate=read_manifest(folder).provenance.get("gate", {}),
        ran_on=ran.ran_on,
        ran_with=ran.ran_with,
    )


def _told(problem: Problem) -> str:
    return f"{problem} [{problem.code}]"
