"""The longest time of a tier: what the gateway's leaves after the starts of the router and of the function."""

import statistics
from dataclasses import dataclass

from contracts.limits import (
    CONNECT_TIMEOUT_S,
    INTEGRATION_TIMEOUT_S,
    MAX_CPU_WRITING_S,
    MAX_TIER_TIMEOUT_S,
    ROUTER_INIT_S,
    ROUTER_MEMORY_MB,
    SPARE_S,
    STREAM_INTEGRATION_TIMEOUT_S,
)
from contracts.names import model_stack, router_stack
from contracts.problems import Code, Problem
from contracts.specs import CpuSpec, Deployment
from contracts.tasks import WRITING_TASKS, Task, Tier
from images.made.record import ImagesRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """The seconds of INIT of the router and of a tier's function; a GPU's container starts before it is in service.

    `gateway_s` are those of the front whose callers have the longest time, `most_s` the tier's longest of all.
    """

    router_s: float = ROUTER_INIT_S
    tier_s: float = 0.0
    gateway_s: int = INTEGRATION_TIMEOUT_S
    most_s: int = MAX_TIER_TIMEOUT_S

    @property
    def longest_s(self) -> float:
        """Return the seconds that a tier may run: both starts may fall into one request, one after the other."""
        left = self.gateway_s - self.router_s - CONNECT_TIMEOUT_S - self.tier_s - SPARE_S
        return min(left, float(self.most_s))

    def __str__(self) -> str:
        return (
            f"of the gateway's {self.gateway_s} s, {self.router_s:.1f} s of the router's start, "
            f"{CONNECT_TIMEOUT_S} s to connect, {self.tier_s:.1f} s of the function's start and {SPARE_S} s to answer "
            f"leave {self.longest_s:.1f} s"
        )


def timeout_problems(deployment: Deployment, record: ImagesRecord) -> list[Problem]:
    """Return the problem of each function whose measured start and `timeout_s` do not fit into a request together.

    A function that was never started in its image has no start that is known, and is not checked.
    """
    router_s = max(
        measured_s(record, router_stack(deployment.name), ROUTER_MEMORY_MB) or 0.0, ROUTER_INIT_S
    )
    problems = []
    for model in deployment.models:
        name = model_stack(deployment.name, model.name, Tier.CPU)
        tier_s = measured_s(record, name, model.cpu.memory_mb) if model.cpu else None
        if model.cpu is None or tier_s is None:
            continue
        starts = Starts(router_s=router_s, tier_s=tier_s, **_times(model.task))
        if model.cpu.timeout_s > starts.longest_s:
            problems.append(_problem(name, model.cpu, starts))
    return problems


def measured_s(record: ImagesRecord, stack: str, memory_mb: int) -> float | None:
    """Return the median INIT of a stack's image with that memory, in seconds; None if it was never measured."""
    image = record.pushed.get(stack) or record.made.get(stack)
    starts = [
        start.ms
        for start in record.starts
        if image and (start.digest, start.memory_mb) == (image.digest, memory_mb)
    ]
    return statistics.median(starts) / 1e3 if starts else None


def _times(task: Task) -> dict[str, int]:
    if task not in WRITING_TASKS:
        return {}
    return {"gateway_s": STREAM_INTEGRATION_TIMEOUT_S, "most_s": MAX_CPU_WRITING_S}


def _problem(name: str, spec: CpuSpec, starts: Starts) -> Problem:
    longest = int(starts.longest_s)
    mend = f"lower timeout_s to {longest}, or raise" if longest >= 1 else "raise"
    message = (
        f"its timeout_s is {spec.timeout_s}, but {starts}; {mend} memory_mb, which has more CPU"
    )
    return Problem(code=Code.TIMEOUT_TOO_LONG, where=name, message=message)
