"""Schedules of EventBridge's rules, which moto records: they fire, and invoke functions that permit it."""

import functools
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from local.control.data_plane import ACCOUNT, data_plane
from local.control.lambdas import invoke_function
from local.permissions.access import Access
from local.permissions.errors import AccessDenied

EVENTS = "events.amazonaws.com"
RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
SECONDS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
# How often it is looked whether a rule is due.
LOOK_S = 1.0


def seconds_of(schedule: str) -> float:
    """Return the seconds between two events of a schedule; raise ValueError for one that is not modelled."""
    found = RATE.fullmatch(schedule)
    if found is None:
        raise ValueError(
            f"the local cloud models schedules like rate(1 minute) alone, not {schedule}"
        )
    return int(found[1]) * SECONDS[found[2]]


@functools.cache
def extend() -> None:
    """Refuse a rule whose schedule is not modelled when it is deployed, and not when it would fire; idempotent."""
    from moto.events.models import Rule

    # `__func__`: bound to its class, the method would get that one twice.
    create = Rule.create_from_cloudformation_json.__func__

    def checked(
        cls: Any, /, resource_name: str, cloudformation_json: Any, *rest: Any, **named: Any
    ) -> Any:
        if schedule := cloudformation_json["Properties"].get("ScheduleExpression"):
            seconds_of(schedule)
        return create(cls, resource_name, cloudformation_json, *rest, **named)

    Rule.create_from_cloudformation_json = classmethod(checked)


class Schedules:
    """The rules of a region that have a schedule, and when each is due: first, one period after it is seen."""

    def __init__(self, region: str, access: Access, report: Callable[[str], None]) -> None:
        self.region, self.access, self.report = region, access, report
        self.due: dict[str, float] = {}
        self.stopped = threading.Event()
        self.workers = ThreadPoolExecutor(4, thread_name_prefix="schedules")

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True, name="schedules").start()

    def stop(self) -> None:
        """Fire no rule any more; what runs is not waited for, since its function is ended."""
        self.stopped.set()
        self.workers.shutdown(wait=False, cancel_futures=True)

    def fire(self) -> int:
        """Begin to invoke the targets of all rules that are due by the clock of the cloud; return how many."""
        from moto.events.models import events_backends

        now = data_plane().clock()
        rules = list(events_backends[ACCOUNT][self.region].event_buses["default"].rules.values())
        scheduled = {
            str(rule.arn): rule
            for rule in rules
            if rule.scheduled_expression and rule.state == "ENABLED"
        }
        periods = {arn: seconds_of(one.scheduled_expression) for arn, one in scheduled.items()}
        self.due = {arn: self.due.get(arn, now + every) for arn, every in periods.items()}
        fired = 0
        for arn, rule in scheduled.items():
            if now < self.due[arn]:
                continue
            self.due[arn] = now + periods[arn]
            for target in list(rule.targets):
                self.workers.submit(self._invoke, arn, str(target["Arn"]), now)
                fired += 1
        return fired

    def _run(self) -> None:
        while not self.stopped.wait(LOOK_S):
            self.fire()

    def _invoke(self, rule: str, function: str, now: float) -> None:
        """Invoke a function with the event of a schedule; nobody waits for it, so a failure is reported."""
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule-legacy.html
        event = {
            "source": "aws.events",
            "detail-type": "Scheduled Event",
            "account": ACCOUNT,
            "region": self.region,
            "time": f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "resources": [rule],
            "detail": {},
        }
        try:
            self.access.check_function(function, EVENTS, rule)
            done = invoke_function(function, json.dumps(event).encode())
        except AccessDenied as denied:
            self.report(str(denied))
        # Of a stack that is deleted at the moment.
        except Exception as error:
            self.report(f"{rule} does not reach {function}: {error}")
        else:
            if done.error:
                said = done.payload.decode(errors="replace") or "it is throttled"
                self.report(f"{rule}: {function} failed: {said}")
