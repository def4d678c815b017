"""The models of a deployment that are sampled; where there is none, there is no sampling function."""

from collections.abc import Mapping

from contracts.cascade.confidence import CONFIDENCES
from contracts.cascade.contradictions import ALL, KEPT
from contracts.routes import Cascade
from contracts.specs import Deployment, ModelSpec


def sampled_models(
    deployment: Deployment, cascades: Mapping[str, Cascade]
) -> tuple[ModelSpec, ...]:
    """Return the models of which answers are compared: shadowed ones, and those with a cascade that is on."""
    return tuple(model for model in deployment.models if compared(model, cascades.get(model.name)))


def compared(model: ModelSpec, cascade: Cascade | None) -> str:
    """Return the answers of a model's CPU tier that a canary is judged by: ALL, those KEPT, or "" for none."""
    confidence = CONFIDENCES.get(model.task)
    if model.cpu is None or model.gpu is None or confidence is None or not confidence.sampled:
        return ""
    if model.gpu.shadow > 0:
        return ALL
    return KEPT if cascade and not cascade.off and model.gpu.sample > 0 else ""
