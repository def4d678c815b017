"""The last record of all mutants, which `make prove` writes: what stopped each of them."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from benchmarks.record import RESULTS
from scripts.mutants import CODE, NOTHING, SETTINGS
from tests.build.reading.mutants.code import FAULTS
from tests.build.reading.mutants.every import MUTANTS
from tests.conftest import PROVE

Mutant = tuple[str, str]


def rows(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))["rows"]
    return found


def of_settings() -> Mapping[Mutant, str]:
    """Return the code of the error that stopped each mutant of a setting, by its file and key."""
    return {
        (row["file"], key): row["stopped by"]
        for row in rows(SETTINGS)
        for key in re.findall("`(.+?)`", row["keys that are not seen"])
    }


def of_code() -> Mapping[str, str]:
    """Return the code of the error that stopped each fault of code."""
    return {row["fault"]: row["stopped by"] for row in rows(CODE)}


def tried() -> tuple[list[Mutant], list[str]]:
    """Return the mutants to try: all of them in `make prove`, and else those that a build stopped in the record.

    One that is new joins every run once `make prove` has found what stops it.
    """
    if os.environ.get(PROVE):
        return MUTANTS, list(FAULTS)
    settings, code = of_settings(), of_code()
    stopped = {mutant for mutant, code in settings.items() if code != NOTHING}
    return [m for m in MUTANTS if m in stopped], [name for name in FAULTS if name in code]
