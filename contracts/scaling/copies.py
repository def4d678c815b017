"""The number of copies of an inference component over time, as its scaling policies set it.

One model for the plan, which replays a trace through it, and for the local cloud, which sleeps and wakes by it. Time is
in seconds; it is looked at every `TICK_S`. A clock that is not the machine's can drive it.

Figures with "measured" are those of an ml.g5.xlarge in us-east-1 in July 2026, by Hugging Face's skill for
deployments to SageMaker (`deploy_ic.py`): the alarm after 67 s, the copy wanted 102 s later, the first answer 564 s
after the request; no copy 660 s after the last request; no instance 720 s later.
"""

import math
from collections import defaultdict
from dataclasses import dataclass

# The metric of concurrent requests per copy is of high resolution: one datapoint every 10 s.
# https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
TICK_S = 10
# The alarms that target tracking makes for itself, of 10 s each: 3 datapoints above the target, or 90 below it.
HIGH_TICKS, LOW_TICKS = 3, 90
# A copy takes minutes to start: a second decision before would be made on the same load.
SCALE_OUT_COOLDOWN_S = 300
# Below the target by a tenth: between both thresholds nothing changes (the alarms that target tracking shows for an
# endpoint: > 1500 and < 1350). https://repost.aws/questions/QUf450Wsd9RROGGOIwaolN9w/sagemaker-autoscaling-delay
LOW_SHARE = 0.9
# Measured: of the 564 s until the first answer, 169 s until a copy is wanted; 720 s until no instance is left.
WAKE_S, START_S, RELEASE_S = 169.0, 395.0, 720.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The scaling of the copies of a component.

    `start_s` is from the moment a copy is wanted until it is in service; `wake_s` from the first request without any
    copy until one is wanted; `release_s` from the moment that a copy is gone until its instance is no longer billed.
    """

    min_copies: int
    max_copies: int
    requests_per_copy: float
    scale_in_cooldown_s: float
    scale_out_cooldown_s: float = SCALE_OUT_COOLDOWN_S
    wake_s: float = WAKE_S
    start_s: float = START_S
    release_s: float = RELEASE_S


class Copies:
    """Copies of one component, from `at` on: `wanted` of them, of which `in_service` answer requests.

    `copy_s` are the seconds of all wanted copies together, `instance_s` the seconds that are billed for instances.
    """

    def __init__(self, policy: Policy, at: float, copies: int) -> None:
        self.policy = policy
        self.min_copies, self.max_copies = policy.min_copies, policy.max_copies
        self.wanted = self.in_service = copies
        self.now = at
        self.copy_s = self.instance_s = 0.0
        self.wakes = 0
        self._begin = at
        self._busy_s: defaultdict[int, float] = defaultdict(float)
        # The times at which copies that are wanted come into service, in order.
        self._starting: list[float] = []
        # The times until which instances without a copy are billed.
        self._leaving: list[float] = []
        self._alarm_at = math.inf
        self._high = self._low = 0
        self._last_in = self._last_out = -math.inf

    def arrive(self, at: float, busy_s: float) -> bool:
        """Count a request that keeps a copy busy for so long; return whether there was a copy to take it."""
        self.advance(at)
        if self.in_service == 0:
            # `NoCapacityInvocationFailures` is 1 from now on: its alarm wants a copy after `wake_s`.
            self._alarm_at = min(self._alarm_at, at + self.policy.wake_s)
            return False
        while busy_s > 0:
            tick = self._tick(at)
            part = min(busy_s, self._time_of(tick + 1) - at)
            # Half a tick of 1e-12 s would never end.
            part = max(part, 1e-6)
            self._busy_s[tick] += part
            at, busy_s = at + part, busy_s - part
        return True

    def bound(self, at: float, *, min_copies: int, max_copies: int) -> None:
        """Set the bounds, as a scheduled action does: what is below or above them is changed at once."""
        self.advance(at)
        self.min_copies, self.max_copies = min_copies, max_copies
        self._want(max(min_copies, min(self.wanted, max_copies)))

    def set(self, at: float, copies: int) -> None:
        """Have so many copies in service at once, as an update of the component leaves them."""
        self.advance(at)
        self.wanted = self.in_service = copies
        self._starting.clear()
        self._alarm_at, self._high, self._low = math.inf, 0, 0

    def advance(self, to: float) -> None:
        """Apply all that happens until a moment."""
        while (tick := self._time_of(self._tick(self.now) + 1)) <= to:
            self._pass(tick)
            self._evaluate(self._tick(tick) - 1)
        self._pass(to)

    def _tick(self, at: float) -> int:
        return int((at - self._begin) // TICK_S)

    def _time_of(self, tick: int) -> float:
        return self._begin + tick * TICK_S

    def _pass(self, to: float) -> None:
        """Let time pass without a datapoint in between: copies come into service, and the waking alarm fires."""
        while (at := min([self._alarm_at, *self._starting[:1]])) <= to:
            self._count(at)
            if at == self._alarm_at:
                self._alarm_at = math.inf
                if self.wanted == 0 and self.max_copies > 0:
                    self.wakes += 1
                    self._want(1)
            else:
                self._starting.pop(0)
                self.in_service += 1
        self._count(to)

    def _count(self, to: float) -> None:
        if to <= self.now:
            return
        passed = self.wanted * (to - self.now)
        self.copy_s += passed
        # While a copy starts, its instance runs already.
        self.instance_s += passed + sum(min(end, to) - self.now for end in self._leaving)
        self._leaving = [end for end in self._leaving if end > to]
        self.now = to

    def _evaluate(self, tick: int) -> None:
        """Evaluate the alarms of target tracking on the datapoint of a tick that has ended."""
        busy = self._busy_s.pop(tick, 0.0) / TICK_S
        target = self.policy.requests_per_copy
        # Without a copy there is no datapoint: the metric cannot be divided by zero copies.
        if self.in_service == 0 or math.isinf(target):
            self._high = self._low = 0
            return
        each = busy / self.in_service
        self._high = self._high + 1 if each > target else 0
        self._low = self._low + 1 if each < LOW_SHARE * target else 0
        needed = max(self.min_copies, min(math.ceil(busy / target), self.max_copies))
        if self._high >= HIGH_TICKS and needed > self.wanted:
            if self.now - self._last_out >= self.policy.scale_out_cooldown_s:
                self._last_out = self.now
                self._want(needed)
        elif self._low >= LOW_TICKS and needed < self.wanted:
            if self.now - self._last_in >= self.policy.scale_in_cooldown_s:
                self._last_in = self.now
                self._want(needed)

    def _want(self, copies: int) -> None:
        more = copies - self.wanted
        if more > 0:
            self._starting += [self.now + self.policy.start_s] * more
            # An instance that has not left yet takes the copy.
            del self._leaving[:more]
        elif more < 0:
            self._leaving += [self.now + self.policy.release_s] * -more
            # A copy that is not in service yet goes first.
            started = len(self._starting)
            del self._starting[max(0, started + more) :]
            self.in_service = copies - len(self._starting)
        self.wanted = copies
