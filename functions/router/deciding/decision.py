"""The decision on a request: the target that answers, the one that is tried after it, and the reason."""

import math
from dataclasses import dataclass

from contracts.http_errors import TierUnavailable
from contracts.prediction import Prefer
from contracts.routes import Target
from contracts.tasks import Tier, Wake
from functions.router.deciding.rules import (
    RULES,
    Case,
    Rule,
    Targets,
    needs_gpu,
    over_limits,
    stands_in,
)
from functions.router.targets.health import Condition

# The reasons of an answer: why the rules want the target that answers, or why it answers for the one that they want.
WANTED = (
    "pinned",
    "in_time",
    "withdrawn",
    *(f"prefer_{prefer}" for prefer in Prefer),
    "split",
    *(f"fits_{tier}" for tier in Tier),
)
IN_PLACE = tuple(f"{t}_{c}" for t in Tier for c in Condition if c is not Condition.READY)
REASONS = (*WANTED, *IN_PLACE)
# A target of these conditions is left alone; one of the others is tried where nothing else answers, since its refusal
# costs a few milliseconds.
LEFT_ALONE = (Condition.ASLEEP, Condition.FAILING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan for a request.

    `wanted` is the target that the rules want, `primary` the one that is asked, `fallback` the one after that; `trial`
    says that `primary` was not ready when last heard of, so that one request alone may try it. With `shadow`, what the
    CPU tier answers is also asked on the GPU tier, of which the caller sees nothing.
    """

    wanted: Target
    primary: Target
    reason: str
    fallback: Target | None = None
    trial: bool = False
    shadow: bool = False

    def degraded(self, target: Target) -> bool:
        """Return True if an answer of that target is a CPU tier's for a GPU tier."""
        return self.wanted.tier is Tier.GPU and target.tier is Tier.CPU


def decide(case: Case, rules: tuple[Rule, ...] = RULES) -> Plan:
    """Return the plan; raise TooLarge, InvalidInput, or TierUnavailable where no target is to be asked now."""
    targets: Targets = tuple(case.route.targets.values())
    for rule in rules:
        targets = rule(case, targets)
    wanted = targets[0]
    allowed = [t for t in targets if t is wanted or stands_in(case.request, wanted, t)]
    ready = [t for t in allowed if _is_ready(case, t)]
    # The wanted one is tried as soon as it may be again, even where another is ready.
    asked = [t for t in allowed if _is_ready(case, t) or _is_due(case, t)]
    soft = [t for t in allowed if case.state(t).condition not in LEFT_ALONE]
    order = [*asked, *soft]
    if not order:
        raise _unavailable(case, allowed)
    primary = order[0]
    return Plan(
        wanted=wanted,
        primary=primary,
        reason=_reason(case, targets, wanted, primary),
        fallback=next((t for t in [*ready, *soft] if t is not primary), None),
        trial=bool(asked) and not _is_ready(case, primary),
        shadow=_is_shadowed(case, primary),
    )


def _is_ready(case: Case, target: Target) -> bool:
    return case.state(target).condition is Condition.READY


def _is_shadowed(case: Case, primary: Target) -> bool:
    gpu = case.route.targets.get(Tier.GPU)
    return gpu is not None and primary.tier is Tier.CPU and case.chance < gpu.shadow


def _is_due(case: Case, target: Target) -> bool:
    """Return True if a target that is not ready may be tried: its hold is over, and the request may wake it."""
    state = case.state(target)
    if case.now < state.until:
        return False
    return state.condition is not Condition.ASLEEP or may_wake(case, target)


def may_wake(case: Case, target: Target) -> bool:
    """Return True if the request is one of those that may wake a tier, as its `wake` says.

    With `never` the same requests ask it as with `pinned`, and its stack lets no request wake it.
    """
    if target.wake is Wake.ESCALATION or case.request.tier is target.tier:
        return True
    others = (t for t in case.route.targets.values() if t is not target)
    return all(over_limits(case, other) for other in others)


def _reason(case: Case, targets: Targets, wanted: Target, primary: Target) -> str:
    if primary is not wanted:
        condition = case.state(wanted).shown(case.now, wanted.wake_s)
        return f"{wanted.tier}_{condition}"
    return _wish(case, targets, wanted)


def _wish(case: Case, targets: Targets, wanted: Target) -> str:
    """Return why the rules want a target."""
    request = case.request
    if request.tier is not None or request.version is not None:
        return "pinned"
    fitting = [t for t in case.route.targets.values() if not over_limits(case, t)]
    if len(targets) < len(fitting):
        return "in_time"
    if request.prefer is not None and len(fitting) > 1:
        return f"prefer_{request.prefer}"
    if wanted.tier is Tier.GPU and not case.is_cut(wanted) and any(map(case.is_cut, fitting)):
        return "in_time"
    if len(fitting) > 1 and needs_gpu(case):
        return "withdrawn"
    if case.route.split and len(fitting) > 1:
        return "split"
    return f"fits_{wanted.tier}"


def _unavailable(case: Case, targets: list[Target]) -> TierUnavailable:
    """Return the error for targets none of which is to be asked now, with the soonest time that one may be ready."""
    waits = {t.tier: case.state(t).wait_s(case.now, t.wake_s) for t in targets}
    conditions = (
        f"the {t.tier} tier is {case.state(t).shown(case.now, t.wake_s)}" for t in targets
    )
    return TierUnavailable(" and ".join(conditions), retry_after_s=math.ceil(min(waits.values())))
