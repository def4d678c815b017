"""The hours in which a GPU tier is kept awake, as `models.toml` writes them: `Mon-Fri 08:00-18:00 Europe/Berlin`."""

import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FORM = "days, hours and a time zone, such as Mon-Fri 08:00-18:00 Europe/Berlin"
DAY_MINUTES = 24 * 60
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")


class NotHours(ValueError):
    """A text does not name hours; its message has every reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Awake:
    """Hours of a week in a time zone: weekdays (Monday is 0), and minutes of each from `start` to before `end`."""

    days: tuple[int, ...]
    start: int
    end: int
    zone: str

    def __str__(self) -> str:
        days = ",".join(DAYS[day] for day in self.days)
        return f"{days} {_shown(self.start)}-{_shown(self.end)} {self.zone}"

    @property
    def wake_cron(self) -> str:
        """Return when a period begins, as Application Auto Scaling has it, in the time zone `zone`."""
        return _cron(self.days, self.start)

    @property
    def sleep_cron(self) -> str:
        """Return when a period ends, in the same form."""
        if self.end < DAY_MINUTES:
            return _cron(self.days, self.end)
        return _cron(tuple(sorted((day + 1) % 7 for day in self.days)), 0)

    def covers(self, moment: float) -> bool:
        """Return whether a moment, in seconds of the Unix epoch, is within the hours."""
        here = datetime.fromtimestamp(moment, zoneinfo.ZoneInfo(self.zone))
        minutes = here.hour * 60 + here.minute
        return here.weekday() in self.days and self.start <= minutes < self.end

    def changes(self, since: float, until: float) -> Iterator[tuple[float, bool]]:
        """Yield every later moment up to `until` at which a period begins (True) or ends (False), in order."""
        zone = zoneinfo.ZoneInfo(self.zone)
        day = datetime.fromtimestamp(since, zone).date() - timedelta(days=1)
        last = datetime.fromtimestamp(until, zone).date()
        while day <= last:
            if day.weekday() in self.days:
                for minutes, begins in ((self.start, True), (self.end, False)):
                    moment = _moment(day, minutes, zone)
                    if since < moment <= until:
                        yield moment, begins
            day += timedelta(days=1)


def parse_awake(text: str) -> Awake:
    """Return the hours that a text names; raise NotHours with all that is wrong with it."""
    parts = text.split()
    if len(parts) != 3:
        raise NotHours(f"{text!r} has {len(parts)} parts instead of 3")
    days, hours, zone = parts
    problems: list[str] = []
    numbers = _days(days, problems)
    start, end = _hours(hours, problems)
    if not _is_zone(zone):
        problems.append(f"{zone!r} is no time zone of the IANA database, such as Europe/Berlin")
    if problems:
        raise NotHours("; ".join(problems))
    return Awake(days=numbers, start=start, end=end, zone=zone)


def _days(text: str, problems: list[str]) -> tuple[int, ...]:
    """Return the weekdays of `Mon-Fri`, `Sat` or `Mon,Wed,Fri-Sun`; add to the problems what is none."""
    found: set[int] = set()
    for part in text.split(","):
        ends = part.split("-")
        wrong = [end for end in ends if end not in DAYS]
        problems += [f"{end!r} is no weekday, of {', '.join(DAYS)}" for end in wrong]
        if len(ends) > 2:
            problems.append(f"{part!r} is no range of two weekdays")
        if wrong or len(ends) > 2:
            continue
        first, last = DAYS.index(ends[0]), DAYS.index(ends[-1])
        # A range may go over the end of a week: Fri-Mon.
        found |= {(first + step) % 7 for step in range((last - first) % 7 + 1)}
    return tuple(sorted(found))


def _hours(text: str, problems: list[str]) -> tuple[int, int]:
    """Return start and end in minutes of the day; add to the problems what is none."""
    ends = text.split("-")
    if len(ends) != 2:
        problems.append(f"{text!r} is no range of two times, such as 08:00-18:00")
        return 0, 0
    wrong = [end for end in ends if not _TIME.fullmatch(end)]
    problems += [f"{end!r} is no time from 00:00 to 24:00" for end in wrong]
    if wrong:
        return 0, 0
    start, end = (int(one[:2]) * 60 + int(one[3:]) for one in ends)
    if end <= start:
        problems.append(f"{ends[1]} is not after {ends[0]} on the same day")
    return start, end


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    # A name with a folder of the database, or with `..`, is no zone either.
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    # Application Auto Scaling takes canonical names: the database's folders have them, and few others.
    # https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScheduledAction.html
    return "/" in name or name == "UTC"


def _moment(day: date, minutes: int, zone: zoneinfo.ZoneInfo) -> float:
    days, minutes = divmod(minutes, DAY_MINUTES)
    local = datetime(day.year, day.month, day.day, minutes // 60, minutes % 60, tzinfo=zone)
    return (local + timedelta(days=days)).timestamp()


def _cron(days: tuple[int, ...], minutes: int) -> str:
    # Minutes, hours, day of the month, month, day of the week, year; one of the two days is left open by `?`.
    # https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-using-cron-expressions.html
    names = ",".join(DAYS[day].upper() for day in days)
    return f"cron({minutes % 60} {minutes // 60} ? * {names} *)"


def _shown(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
