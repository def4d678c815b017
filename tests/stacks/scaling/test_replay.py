"""Traces replayed through a tier's scaling: their hours, and the requests that meet no copy."""

import dataclasses
import random
from pathlib import Path

import pytest

from contracts.scaling.awake import parse_awake
from contracts.scaling.copies import Policy
from contracts.specs import GpuSpec
from stacks.scaling.replay import choices, policy_of, replay
from stacks.scaling.traces import A_MONDAY, Trace, UnreadableTrace, read_trace

HOUR = 3600.0
ASLEEP = Policy(min_copies=0, max_copies=2, requests_per_copy=5, scale_in_cooldown_s=300)
AWAKE = dataclasses.replace(ASLEEP, min_copies=1)


def trace(*arrivals: float, seconds: float) -> Trace:
    return Trace(begins=A_MONDAY, seconds=seconds, arrivals=arrivals)


def test_a_tier_that_never_sleeps_is_billed_all_the_time_and_answers_everything() -> None:
    found = replay(trace(0, 1800, seconds=HOUR), AWAKE, busy_s=1)
    assert (found.requests, found.asleep, found.wakes) == (2, 0, 0)
    assert found.degraded == 0
    assert found.hours == found.copy_hours == found.instance_hours == 1


def test_one_request_a_day_meets_a_sleeping_tier_each_time() -> None:
    days = 10
    found = replay(
        trace(*(day * 24 * HOUR for day in range(1, days)), seconds=days * 24 * HOUR),
        ASLEEP,
        busy_s=1,
    )
    assert (found.requests, found.asleep, found.wakes) == (days - 1, days - 1, days - 1)
    assert found.degraded == 1
    # Each time a copy starts (395 s), is idle for a quarter of an hour, and its instance leaves (720 s).
    woken = (days - 1) * (395 + 900 + 720)
    assert found.instance_hours * HOUR == pytest.approx(900 + 720 + woken, abs=10 * days)


def test_the_hours_of_a_schedule_are_kept_awake() -> None:
    # Every hour of a week, on the half.
    arrivals = tuple(hour * HOUR + 1800 for hour in range(24 * 7))
    week = Trace(begins=A_MONDAY, seconds=24 * 7 * HOUR, arrivals=arrivals)
    office = replay(week, ASLEEP, busy_s=1, awake=parse_awake("Mon-Fri 08:00-18:00 UTC"))
    without = replay(week, ASLEEP, busy_s=1)
    # 50 of the 168 requests are in the hours of the schedule, whose first wakes it before the first request.
    assert (without.asleep, office.asleep) == (168, 118)
    assert office.copy_hours - without.copy_hours > 50 * 0.5


def test_a_schedule_that_covers_the_begin_is_awake_from_then_on() -> None:
    found = replay(
        Trace(begins=A_MONDAY + 9 * HOUR, seconds=8 * HOUR, arrivals=(4 * HOUR,)),
        ASLEEP,
        busy_s=1,
        awake=parse_awake("Mon 08:00-18:00 UTC"),
    )
    assert (found.asleep, found.copy_hours) == (0, 8)


def test_more_instances_that_stay_awake_cost_more_and_refuse_no_more() -> None:
    chance = random.Random(7)
    at, arrivals = 0.0, []
    while at < 48 * HOUR:
        arrivals.append(at)
        at += chance.expovariate(1 / 900)
    day = trace(*arrivals, seconds=48 * HOUR)
    found = [
        replay(day, dataclasses.replace(ASLEEP, min_copies=least), busy_s=1) for least in (0, 1, 2)
    ]
    hours = [one.instance_hours for one in found]
    assert hours == sorted(hours)
    assert found[0].degraded > 0.2
    assert [one.asleep for one in found[1:]] == [0, 0]


def test_a_policy_is_that_of_the_tiers_settings() -> None:
    spec = GpuSpec(
        instance="ml.g6.xlarge",
        min_instances=0,
        max_instances=3,
        requests_per_copy=9,
        scale_in_cooldown_s=60,
    )
    assert policy_of(spec) == Policy(
        min_copies=0, max_copies=3, requests_per_copy=9, scale_in_cooldown_s=60
    )


def test_choices_are_every_number_of_instances_with_every_cooldown() -> None:
    found = choices(dataclasses.replace(ASLEEP, scale_in_cooldown_s=42))
    assert {one.min_copies for one in found} == {0, 1, 2}
    assert {one.scale_in_cooldown_s for one in found} == {42, 60, 300, 900}
    assert len(found) == 12


@pytest.mark.parametrize(
    ("text", "arrivals", "begins"),
    [
        (
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n"
            "2023-11-16 18:17:04.9799600,3180,8\n",
            (0, 1),
            1700158623.97996,
        ),
        ('{"timestamp": 500, "input_length": 1}\n\n{"timestamp": 0}\n', (0, 0.5), A_MONDAY),
        (
            '{"time_ms": "1700158623500", "path": "/"}\n{"time_ms": "1700158623000"}\n',
            (0, 0.5),
            1700158623,
        ),
    ],
)
def test_a_trace_is_read_in_each_of_its_forms(
    tmp_path: Path, text: str, arrivals: tuple[float, ...], begins: float
) -> None:
    (tmp_path / "trace").write_text(text, "utf-8")
    found = read_trace(tmp_path / "trace")
    assert found.arrivals == pytest.approx(arrivals)
    assert found.begins == pytest.approx(begins)
    assert found.seconds == found.arrivals[-1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has 0 requests"),
        ('{"timestamp": 1}', "has 1 requests"),
        ('{"timestamp": 1}\n{"time": 2}', "line 2: no time of a request"),
        ('{"timestamp": 1}\n{"timestamp": "soon"}', "line 2: no time of a request"),
        ('{"timestamp": 1}\n[]', "line 2: no time of a request"),
        ("TIMESTAMP\nyesterday", "line 2: no time of a request"),
        ("when,what\n2023-11-16,1", "line 2: no time of a request"),
        ("hello", "has 0 requests"),
    ],
)
def test_what_is_no_trace_is_refused_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "trace").write_text(text, "utf-8")
    with pytest.raises(UnreadableTrace, match=reason):
        read_trace(tmp_path / "trace")


def test_a_trace_that_is_not_there_says_what_a_trace_is(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTrace, match="cannot be read.*the API's access log"):
        read_trace(tmp_path / "none")
