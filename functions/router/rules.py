"""Which tier answers. Rules are tried in order; the first that speaks decides."""

from collections.abc import Callable
from dataclasses import dataclass

from contracts.errors import InvalidInput, RequestProblem, TooLarge
from contracts.limits import vectors_per_answer
from contracts.prediction import PredictRequest
from contracts.routes import Route, Target
from contracts.tasks import Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The target that answers, and the rule that chose it."""

    primary: Target
    reason: str


Rule = Callable[[PredictRequest, Route], Plan | None]


def pinned(request: PredictRequest, route: Route) -> Plan | None:
    if request.tier is None:
        return None
    target = route.targets.get(request.tier)
    if target is None:
        has = " and ".join(route.targets)
        detail = f"{route.model} has no {request.tier} tier; it has {has}"
        raise InvalidInput(
            f"/tier: {detail}", problems=[RequestProblem(pointer="/tier", detail=detail)]
        )
    if why := too_large(request, route, target):
        raise TooLarge(f"the {request.tier} tier was asked for, but {why}")
    return Plan(primary=target, reason="pinned")


def fits_cpu(request: PredictRequest, route: Route) -> Plan | None:
    return _fits(request, route, Tier.CPU)


def fits_gpu(request: PredictRequest, route: Route) -> Plan | None:
    return _fits(request, route, Tier.GPU)


RULES: tuple[Rule, ...] = (pinned, fits_cpu, fits_gpu)


def decide(request: PredictRequest, route: Route, rules: tuple[Rule, ...] = RULES) -> Plan:
    """Raises TooLarge when no tier takes the request, InvalidInput when it pins one that is not there."""
    for rule in rules:
        if plan := rule(request, route):
            return plan
    reasons = "; ".join(f"{t.tier}: {too_large(request, route, t)}" for t in route.targets.values())
    raise TooLarge(f"no tier of {route.model} takes this request ({reasons})")


def too_large(request: PredictRequest, route: Route, target: Target) -> str | None:
    """Why the target does not take the request; None when it does."""
    inputs = len(request.inputs)
    if inputs > target.max_inputs:
        return f"{inputs} inputs are more than its {target.max_inputs}"
    if request.chars > target.max_chars:
        return f"{request.chars} characters are more than its {target.max_chars}"
    if route.dimensions and inputs > (most := vectors_per_answer(route.dimensions)):
        return f"{inputs} vectors of {route.dimensions} floats would pass the 6 MB of one answer, {most} would not"
    return None


def _fits(request: PredictRequest, route: Route, tier: Tier) -> Plan | None:
    target = route.targets.get(tier)
    if target is None or too_large(request, route, target):
        return None
    return Plan(primary=target, reason=f"fits_{tier}")
