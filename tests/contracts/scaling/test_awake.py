"""Hours in which a tier is kept awake: read from text, as cron expressions, and over the change of the clocks."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from contracts.scaling.awake import Awake, NotHours, parse_awake

OFFICE = "Mon-Fri 08:00-18:00 Europe/Berlin"


def moment(*parts: int, zone: str = "Europe/Berlin") -> float:
    return datetime(*parts, tzinfo=ZoneInfo(zone)).timestamp()  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("text", "days", "start", "end"),
    [
        (OFFICE, (0, 1, 2, 3, 4), 480, 1080),
        ("Sat 00:00-24:00 UTC", (5,), 0, 1440),
        ("Fri-Mon 22:30-23:59 Asia/Kolkata", (0, 4, 5, 6), 1350, 1439),
        ("Mon,Wed,Sat-Sun 09:05-09:06 America/New_York", (0, 2, 5, 6), 545, 546),
    ],
)
def test_hours_are_read(text: str, days: tuple[int, ...], start: int, end: int) -> None:
    zone = text.split()[-1]
    assert parse_awake(text) == Awake(days=days, start=start, end=end, zone=zone)


def test_hours_are_shown_in_a_form_that_is_read_again() -> None:
    hours = parse_awake("Fri-Sat,Mon 08:00-24:00 Europe/Berlin")
    assert str(hours) == "Mon,Fri,Sat 08:00-24:00 Europe/Berlin"
    assert parse_awake(str(hours)) == hours


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("", ["has 0 parts instead of 3"]),
        ("Mon-Fri 08:00-18:00", ["has 2 parts instead of 3"]),
        ("Mon-Fri 08:00 - 18:00 UTC", ["has 5 parts instead of 3"]),
        ("mon-Fri 08:00-18:00 UTC", ["'mon' is no weekday"]),
        ("Monday 08:00-18:00 UTC", ["'Monday' is no weekday"]),
        ("Mon-Wed-Fri 08:00-18:00 UTC", ["'Mon-Wed-Fri' is no range"]),
        ("Mon, 08:00-18:00 UTC", ["'' is no weekday"]),
        ("Mon 8:00-18:00 UTC", ["'8:00' is no time"]),
        ("Mon 08:00-18:60 UTC", ["'18:60' is no time"]),
        ("Mon 08:00-25:00 UTC", ["'25:00' is no time"]),
        ("Mon 24:00-24:00 UTC", ["24:00 is not after 24:00"]),
        ("Mon 08:00 UTC", ["'08:00' is no range of two times"]),
        ("Mon 18:00-08:00 UTC", ["08:00 is not after 18:00 on the same day"]),
        ("Mon 08:00-18:00 Europe/Atlantis", ["'Europe/Atlantis' is no time zone"]),
        ("Mon 08:00-18:00 CET", ["'CET' is no time zone"]),
        ("Mon 08:00-18:00 Europe", ["'Europe' is no time zone"]),
        ("Mon 08:00-18:00 ../UTC", ["'../UTC' is no time zone"]),
        ("Mo 8-18 Berlin", ["'Mo' is no", "'8' is no time", "'18' is no time", "'Berlin' is no"]),
    ],
)
def test_everything_that_is_wrong_is_named_at_once(text: str, reasons: list[str]) -> None:
    with pytest.raises(NotHours) as caught:
        parse_awake(text)
    assert [reason for reason in reasons if reason not in str(caught.value)] == []
    assert len(str(caught.value).split("; ")) == len(reasons)


def test_a_period_begins_and_ends_by_cron() -> None:
    hours = parse_awake("Mon-Fri 08:15-18:30 Europe/Berlin")
    assert hours.wake_cron == "cron(15 8 ? * MON,TUE,WED,THU,FRI *)"
    assert hours.sleep_cron == "cron(30 18 ? * MON,TUE,WED,THU,FRI *)"


def test_a_day_that_ends_at_midnight_ends_on_the_next_day() -> None:
    assert parse_awake("Sat-Sun 08:00-24:00 UTC").sleep_cron == "cron(0 0 ? * MON,SUN *)"


def test_hours_cover_from_the_start_to_before_the_end() -> None:
    hours = parse_awake(OFFICE)
    friday = (2026, 11, 27)
    assert [
        hours.covers(moment(*friday, *time)) for time in ((7, 59), (8, 0), (17, 59), (18, 0))
    ] == [
        False,
        True,
        True,
        False,
    ]
    assert not hours.covers(moment(2026, 11, 28, 12))


def test_changes_are_those_of_the_wall_clock_when_the_clocks_change() -> None:
    hours = parse_awake("Sun 01:00-12:00 Europe/Berlin")
    # On 29 March 2026 the clocks went from 02:00 to 03:00.
    since, until = moment(2026, 3, 28), moment(2026, 3, 30)
    changes = list(hours.changes(since, until))
    assert [begins for _, begins in changes] == [True, False]
    assert [datetime.fromtimestamp(at, UTC).hour for at, _ in changes] == [0, 10]


def test_no_change_is_yielded_twice_by_two_spans_that_meet() -> None:
    hours = parse_awake(OFFICE)
    start, middle, end = moment(2026, 11, 23), moment(2026, 11, 25, 8), moment(2026, 11, 30)
    both = [*hours.changes(start, middle), *hours.changes(middle, end)]
    assert both == list(hours.changes(start, end))
    assert len(both) == 10


def test_a_day_to_midnight_ends_when_the_next_one_begins() -> None:
    hours = parse_awake("Sat-Sun 00:00-24:00 UTC")
    saturday = moment(2026, 11, 28, zone="UTC")
    changes = list(hours.changes(saturday - 1, saturday + 3 * 86400))
    assert [(at - saturday) / 86400 for at, _ in changes] == [0, 1, 1, 2]
    # The second day begins after the first has ended, so that it is awake.
    assert [begins for _, begins in changes] == [True, False, True, False]
