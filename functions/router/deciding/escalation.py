"""The inputs of a request that go to the GPU tier as well, because the CPU tier's answers to them are not certain.

What is calibrated, and what the threshold promises: docs/cascade.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from contracts.cascade.confidence import CONFIDENCES
from contracts.prediction import PredictRequest
from contracts.routes import Target
from contracts.tasks import Tier, Wake
from functions.router.deciding.decision import Plan
from functions.router.deciding.rules import Case, cascade_of, over_limits
from functions.router.targets.health import Condition

# The reasons of an answer that was escalated, and of one that the GPU tier was asked for in vain.
ESCALATED, UNANSWERED = "escalated", "gpu_unanswered"
REASONS = (ESCALATED, UNANSWERED)
Outputs = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """The uncertain inputs by their places in the request, and a request of these alone for the GPU tier.

    `held` is the condition of the tier for which it is not asked, None where it is.
    """

    target: Target
    places: tuple[int, ...]
    request: PredictRequest
    held: Condition | None = None


def escalation(case: Case, plan: Plan, target: Target, outputs: Outputs) -> Escalation | None:
    """Return what is to be asked on the GPU tier after the CPU tier's outputs; None if all of them are kept."""
    request, route = case.request, case.route
    cascade = cascade_of(case)
    if cascade is None or target.tier is not Tier.CPU or plan.wanted is not target:
        return None
    confidences = CONFIDENCES[route.task].of(outputs, request.parameters)
    if confidences is None:
        return None
    places = tuple(i for i, value in enumerate(confidences) if value < cascade.threshold)
    if not places:
        return None
    asked = replace(request, inputs=tuple(request.inputs[i] for i in places))
    gpu = route.targets[Tier.GPU]
    uncertain = replace(case, request=asked)
    if over_limits(uncertain, gpu) or _too_late(uncertain, gpu):
        return None
    return Escalation(target=gpu, places=places, request=asked, held=_held(case, gpu))


def _too_late(case: Case, gpu: Target) -> bool:
    left_ms = (case.request.deadline - case.now) * 1e3
    return (case.whole_ms(gpu) or 0.0) > left_ms


def _held(case: Case, gpu: Target) -> Condition | None:
    """Return the condition for which a GPU tier is left alone: an escalation wakes it only where `wake` says so."""
    state = case.state(gpu)
    if state.condition is Condition.READY:
        return None
    if case.now >= state.until and (
        state.condition is not Condition.ASLEEP or gpu.wake is Wake.ESCALATION
    ):
        return None
    return state.shown(case.now, gpu.wake_s)


def are_whole(outputs: Outputs) -> bool:
    """Return False if a text was cut by the time: the CPU tier's is all there."""
    return all(output.get("finish_reason") != "time" for output in outputs)


def merged(outputs: Outputs, places: Sequence[int], asked: Outputs) -> tuple[dict[str, Any], ...]:
    """Return the outputs in the order of the request, each with the tier that gave it."""
    found = dict(zip(places, asked, strict=True))
    return tuple(
        {**found[i], "tier": Tier.GPU} if i in found else {**output, "tier": Tier.CPU}
        for i, output in enumerate(outputs)
    )
