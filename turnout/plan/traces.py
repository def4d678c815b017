"""Choices of a GPU tier's scaling compared on a trace of requests: dollars a month, and requests that meet no GPU."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from contracts.errors import TurnoutError
from contracts.scaling.awake import Awake, parse_awake
from contracts.scaling.copies import Policy
from contracts.specs import Deployment, GpuSpec
from contracts.tasks import Tier
from stacks.costs.prices import instance_price
from stacks.costs.tiers import HOURS_PER_MONTH
from stacks.scaling.replay import Replayed, policy_of, replay
from stacks.scaling.starts import wake_of
from stacks.scaling.traces import Trace, read_trace
from turnout.plan.costs import TierCost
from turnout.plan.latency import Latency, read_artefact
from turnout.terminal import usd

# Compared where models.toml has no schedule of its own.
OFFICE = "Mon-Fri 08:00-18:00 UTC"
WEEK_HOURS = 24 * 7


class NothingToReplay(TurnoutError):
    """No GPU tier could take the requests of a trace."""

    code = "nothing_to_replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to scale a tier, with what became of the trace's requests.

    `usd_per_month` is of its instances; `chosen` says that models.toml has it.
    """

    model: str
    instance: str
    policy: Policy
    awake: Awake | None
    replayed: Replayed
    usd_per_month: float
    chosen: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "instance": self.instance,
            "min_instances": self.policy.min_copies,
            "max_instances": self.policy.max_copies,
            "awake": str(self.awake) if self.awake else None,
            "usd_per_month": round(self.usd_per_month, 2),
            "degraded": round(self.replayed.degraded, 6),
            "asleep": self.replayed.asleep,
            "requests": self.replayed.requests,
            "wakes": self.replayed.wakes,
            "instance_hours": round(self.replayed.instance_hours, 3),
            "in_models_toml": self.chosen,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The choices of every GPU tier on one trace; `busy_s` are the seconds that a request takes of it, by model."""

    trace: Trace
    busy_s: dict[str, float]
    choices: Sequence[Choice]

    def to_json(self) -> dict[str, Any]:
        return {
            "hours": round(self.trace.seconds / 3600, 3),
            "requests": len(self.trace.arrivals),
            "busy_s": {model: round(busy, 6) for model, busy in self.busy_s.items()},
            "choices": [choice.to_json() for choice in self.choices],
        }


def compare(
    deployment: Deployment,
    costs: Sequence[TierCost],
    path: Path,
    request_ms: float | None,
    out: Path,
) -> Comparison:
    """Replay a trace through each choice of every GPU tier.

    A request takes `request_ms` of a GPU, or what was measured of the model's function if that is None. A copy starts
    in the time of its artefact in `out`. Raise
    NothingToReplay for a deployment without a GPU tier, or where neither is known; UnreadableTrace.
    """
    tiers = [(model.name, model.gpu) for model in deployment.models if model.gpu]
    if not tiers:
        raise NothingToReplay(
            "no model has a GPU tier, and a function is billed for requests alone; add gpu = { instance = ... } to a "
            "model, or leave --trace out"
        )
    busy = {name: (request_ms or _measured_ms(name, costs)) / 1e3 for name, _ in tiers}
    trace = read_trace(path)
    return Comparison(
        trace=trace,
        busy_s=busy,
        choices=[
            choice
            for name, spec in tiers
            for choice in _choices(
                name, spec, deployment.region, trace, busy[name], _start_s(name, spec, out)
            )
        ],
    )


def _start_s(model: str, spec: GpuSpec, out: Path) -> float:
    return wake_of(spec, read_artefact(out / model / Tier.GPU), out).start_s


def _measured_ms(model: str, costs: Sequence[TierCost]) -> float:
    for cost in costs:
        if cost.model == model and isinstance(cost.latency, Latency):
            return cost.latency.ms
    raise NothingToReplay(
        f"{model}: how long a request takes was not measured; name it with --request-ms, or build the model"
    )


def _choices(
    model: str, spec: GpuSpec, region: str, trace: Trace, busy_s: float, start_s: float
) -> Iterator[Choice]:
    hour = instance_price(spec.instance, region).first
    own = policy_of(spec, start_s), spec.awake if not spec.min_instances else None
    for policy, awake in alternatives(spec, start_s):
        found = replay(trace, policy, busy_s=busy_s, awake=awake)
        yield Choice(
            model=model,
            instance=spec.instance,
            policy=policy,
            awake=awake,
            replayed=found,
            usd_per_month=found.instance_hours / found.hours * HOURS_PER_MONTH * hour,
            chosen=(policy, awake) == own,
        )


def alternatives(spec: GpuSpec, start_s: float) -> Iterator[tuple[Policy, Awake | None]]:
    """Yield each number of instances at least and at most, and with none at least each schedule; the cheapest first."""
    for most in range(1, max(spec.max_instances, 2) + 1):
        for least in range(most + 1):
            policy = replace(policy_of(spec, start_s), min_copies=least, max_copies=most)
            yield policy, None
            if least == 0:
                yield policy, spec.awake or parse_awake(OFFICE)


def show_comparison(found: Comparison, console: Console) -> None:
    """Print one table of all choices, and how far it can be trusted."""
    table = Table("model", "instances", "kept awake", box=None, pad_edge=False)
    for name in ("a month", "degraded", "wakes"):
        table.add_column(name, justify="right")
    table.add_column("")
    for choice in found.choices:
        policy, replayed = choice.policy, choice.replayed
        table.add_row(
            choice.model,
            f"{policy.min_copies} to {policy.max_copies}",
            str(choice.awake) if choice.awake else ("always" if policy.min_copies else "never"),
            usd(choice.usd_per_month),
            f"{replayed.degraded:.2%}",
            f"{replayed.wakes}",
            "models.toml" if choice.chosen else "",
        )
    console.print(table)
    hours = found.trace.seconds / 3600
    count = len(found.trace.arrivals)
    lines = [
        f"{count:,} requests in {hours:,.1f} hours, which stand for a month of {HOURS_PER_MONTH}; degraded are those "
        "that met no GPU awake, and went to the CPU tier or got an error; waiting at a busy one is not counted"
    ]
    lines += [
        f"{model}: a request takes {busy * 1e3:,.1f} ms of a GPU"
        for model, busy in found.busy_s.items()
    ]
    if hours < WEEK_HOURS:
        lines.append(
            "the trace is shorter than a week: it does not show what a schedule or a quiet night does in a month"
        )
    for line in lines:
        console.print(line, soft_wrap=True)
