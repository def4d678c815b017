"""Findings: what a check has found, and the command or page that mends it."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """The weight of a finding: only `fails` stops a deployment."""

    HOLDS = "holds"
    NOTE = "note"
    UNKNOWN = "unknown"
    WARNS = "warns"
    FAILS = "fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result of a check; `next_step` is empty if there is nothing to do."""

    level: Level
    about: str
    message: str
    next_step: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
