"""The models of a deployment that are sampled; where there is none, there is no sampling function."""

from collections.abc import Mapping

from contracts.cascade.confidence import CONFIDENCES
from contracts.routes import Cascade
from contracts.specs import Deployment, ModelSpec


def sampled_models(
    deployment: Deployment, cascades: Mapping[str, Cascade]
) -> tuple[ModelSpec, ...]:
    """Return the models of which answers are compared: shadowed ones, and those with a cascade that is on."""
    return tuple(
        model for model in deployment.models if _is_sampled(model, cascades.get(model.name))
    )


def _is_sampled(model: ModelSpec, cascade: Cascade | None) -> bool:
    if model.cpu is None or model.gpu is None or model.task not in CONFIDENCES:
        return False
    return model.gpu.shadow > 0 or bool(cascade and not cascade.off and model.gpu.sample > 0)
