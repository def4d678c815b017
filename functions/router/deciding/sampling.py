"""The answers of the CPU tier that are sampled: the GPU tier answers them as well, and the two are compared.

Of the answers that a threshold keeps a share is sampled, to see whether it still holds; of a request that is shadowed,
all answers are. Nothing is sampled while the GPU tier is not ready: a sample wakes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from contracts.cascade.confidence import CONFIDENCES
from contracts.cascade.sampling import Calibrated, Sample
from contracts.prediction import TierAnswer
from contracts.routes import Target
from contracts.tasks import Tier
from functions.router.deciding.decision import Plan
from functions.router.deciding.rules import Case, cascade_of, over_limits
from functions.router.targets.health import Condition

Outputs = Sequence[Mapping[str, Any]]


def sample_of(
    case: Case, plan: Plan, target: Target, answer: TierAnswer, draw: Callable[[], float]
) -> Sample | None:
    """Return what is to be compared after an answer of a target; None if nothing is."""
    request, route, outputs = case.request, case.route, answer.outputs
    gpu, confidence = route.targets.get(Tier.GPU), CONFIDENCES.get(route.task)
    if gpu is None or confidence is None or not confidence.sampled or target.tier is not Tier.CPU:
        return None
    if case.state(gpu).condition is not Condition.READY or over_limits(case, gpu):
        return None
    kept, calibrated = _kept(case, plan, target, outputs)
    # One number decides on a whole request where its outputs are one answer.
    answers = range(1 if confidence.whole else len(outputs))
    places = [i for i in answers if plan.shadow or (kept[i] and draw() < gpu.sample)]
    if not places:
        return None
    inputs = range(len(outputs)) if confidence.whole else places
    return Sample(
        model=route.model,
        task=route.task,
        address=gpu.address,
        sleeps=gpu.sleeps,
        version=answer.version,
        newest=target.version,
        inputs=tuple(request.inputs[i] for i in inputs),
        parameters=request.parameters,
        outputs=tuple(outputs[i] for i in inputs),
        kept=tuple(kept[i] for i in places),
        shadow=plan.shadow,
        calibrated=calibrated,
    )


def _kept(
    case: Case, plan: Plan, target: Target, outputs: Outputs
) -> tuple[Sequence[bool], Calibrated | None]:
    """Return for each output whether a threshold keeps it, and the calibration that has the threshold."""
    cascade = cascade_of(case)
    confidences = None
    if cascade is not None and plan.wanted is target:
        confidences = CONFIDENCES[case.route.task].of(outputs, case.request.parameters)
    if cascade is None or confidences is None:
        return [False] * len(outputs), None
    return [value >= cascade.threshold for value in confidences], cascade.calibrated
