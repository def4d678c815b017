"""The table of faults: a row of what was recorded, and the faults that it has."""

import json
from typing import Any

from benchmarks.faults.__main__ import MODEL, faults, of_wake
from benchmarks.faults.summary import row
from benchmarks.record import RESULTS
from contracts.models_toml import read_models_toml
from local.chaos.script import Fault, tiers_of
from local.chaos.services import SERVICES
from tests.fixtures.paths import ROOT


def answer(status: int = 200, ms: float = 10.0, **said: Any) -> dict[str, Any]:
    none = dict.fromkeys(("tier", "reason", "degraded", "code", "message"))
    return {**none, "status": status, "ms": ms, **said}


def test_a_row_counts_who_answered_and_what_the_others_got() -> None:
    answers = [
        *(answer(ms=float(n), tier="cpu", degraded=True) for n in range(1, 101)),
        answer(tier="gpu", ms=150.4),
        answer(504, 2010.6, code="deadline_exceeded"),
        answer(504, 2001.0, code="deadline_exceeded"),
        answer(500, message="Internal Server Error"),
    ]
    assert row("gpu: asleep", answers, [3]) == {
        "fault": "gpu: asleep",
        "requests": 104,
        "by the CPU tier": 100,
        "by the GPU tier": 1,
        "degraded": 100,
        "errors": "2 × 504 deadline_exceeded, 1 × 500 Internal Server Error",
        "p99 of degraded, ms": 99,
        "longest, ms": 2011,
        "calls that met it": 3,
    }


def test_a_row_without_errors_or_degraded_answers_says_so() -> None:
    found = row("none", [answer(tier="cpu")], [])
    assert (found["errors"], found["p99 of degraded, ms"], found["calls that met it"]) == (
        "none",
        "–",
        0,
    )


def test_of_a_tier_that_wakes_the_calls_are_wakes_beside_the_load_of_the_machine() -> None:
    found = of_wake(row("gpu: asleep", [answer(tier="cpu", degraded=True)], [11]))
    assert (found["wake calls"], "calls that met it" in found) == (11, False)
    assert float(found["load average"]) >= 0


def test_every_kind_of_fault_and_every_service_is_in_the_table() -> None:
    scripts = faults(tiers_of(read_models_toml(ROOT / "models.toml")))
    every = [fault for _, script in scripts for fault in script]
    assert {fault.kind for fault in every} == set(Fault)
    assert {fault.of.service for fault in every} == set(SERVICES)
    result = json.loads((RESULTS / "faults.json").read_text("utf-8"))
    assert [one["fault"] for one in result["rows"]] == [name for name, _ in scripts]
    assert result["model"] == MODEL
