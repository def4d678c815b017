"""The choice of the tier that answers. Rules are tried in order; the first that returns a decision decides."""

from collections.abc import Callable
from dataclasses import dataclass

from contracts.http_errors import InvalidInput, RequestProblem, TooLarge
from contracts.limits import vectors_per_answer
from contracts.prediction import PredictRequest
from contracts.routes import Route, Target
from contracts.tasks import Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The target that answers, and the rule that chose it."""

    target: Target
    reason: str


Rule = Callable[[PredictRequest, Route], Decision | None]


def pinned(request: PredictRequest, route: Route) -> Decision | None:
    """Take the tier that the request names; raise InvalidInput if there is none, TooLarge if it is over its limits."""
    if request.tier is None:
        return None
    target = route.targets.get(request.tier)
    if target is None:
        tiers = " and ".join(route.targets)
        detail = f"{route.model} has no {request.tier} tier; it has {tiers}"
        raise InvalidInput(
            f"/tier: {detail}", problems=[RequestProblem(pointer="/tier", detail=detail)]
        )
    if reason := over_limits(request, route, target):
        raise TooLarge(f"the request pins the {request.tier} tier, but {reason}")
    return Decision(target=target, reason="pinned")


def fits_cpu(request: PredictRequest, route: Route) -> Decision | None:
    """Take the CPU tier if the model has one and the request is within its limits."""
    return _fits(request, route, Tier.CPU)


def fits_gpu(request: PredictRequest, route: Route) -> Decision | None:
    """Take the GPU tier if the model has one and the request is within its limits."""
    return _fits(request, route, Tier.GPU)


# The cheaper tier comes first. A new policy is a new function in this tuple.
RULES: tuple[Rule, ...] = (pinned, fits_cpu, fits_gpu)


def decide(request: PredictRequest, route: Route, rules: tuple[Rule, ...] = RULES) -> Decision:
    """Return the first decision; raise TooLarge if no tier takes the request, InvalidInput if it pins a missing one."""
    for rule in rules:
        if decision := rule(request, route):
            return decision
    reasons = "; ".join(
        f"{t.tier}: {over_limits(request, route, t)}" for t in route.targets.values()
    )
    raise TooLarge(f"no tier of {route.model} takes this request ({reasons})")


def over_limits(request: PredictRequest, route: Route, target: Target) -> str | None:
    """Return the reason why the target does not take the request; None if it does."""
    inputs = len(request.inputs)
    if inputs > target.max_inputs:
        return f"{inputs} inputs are more than its {target.max_inputs}"
    # The router has no tokenizer, so lengths are limited in characters.
    if request.chars > target.max_chars:
        return f"{request.chars} characters are more than its {target.max_chars}"
    if route.dimensions and inputs > (limit := vectors_per_answer(route.dimensions)):
        return f"{inputs} vectors of {route.dimensions} floats would pass the 6 MB of one answer, {limit} would not"
    return None


def _fits(request: PredictRequest, route: Route, tier: Tier) -> Decision | None:
    target = route.targets.get(tier)
    if target is None or over_limits(request, route, target):
        return None
    return Decision(target=target, reason=f"fits_{tier}")
