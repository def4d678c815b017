"""A sampling function is deployed where there is something to sample, and nowhere else."""

from dataclasses import replace

import pytest

from contracts.routes import Cascade
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task
from stacks.routes.sampling import sampled_models
from tests.fixtures.synthesis import INTENTS, WORDS

GPU = GpuSpec(instance="ml.g6.xlarge")
CASCADE = Cascade(
    threshold=0.8, parameters={}, rows=500, kept=0.7, lost=0.0, bound=0.01, assurance=0.95
)
SHADOWED = replace(INTENTS, gpu=replace(GPU, shadow=0.05))


@pytest.mark.parametrize(
    ("model", "cascade", "sampled"),
    [
        (INTENTS, CASCADE, True),
        (INTENTS, None, False),
        (INTENTS, replace(CASCADE, off="other artefacts"), False),
        (replace(INTENTS, gpu=replace(GPU, sample=0.0)), CASCADE, False),
        (SHADOWED, None, True),
        (replace(SHADOWED, cpu=None), None, False),
        # Vectors are not compared.
        (replace(WORDS, cpu=CpuSpec(), gpu=replace(GPU, shadow=0.05)), None, False),
        (replace(INTENTS, gpu=None), None, False),
        (replace(SHADOWED, task=Task.TEXT_GENERATION), None, False),
        (replace(INTENTS, task=Task.TEXT_GENERATION), CASCADE, False),
    ],
    ids=[
        "cascade",
        "no cascade",
        "off",
        "no sample",
        "shadow",
        "no CPU tier",
        "vectors",
        "no GPU tier",
        "generated text",
        "a cascade of texts",
    ],
)
def test_what_is_sampled_has_both_tiers_and_a_reason(
    model: ModelSpec, cascade: Cascade | None, sampled: bool
) -> None:
    deployment = Deployment(name="shop", models=(model,))
    cascades = {model.name: cascade} if cascade else {}
    assert sampled_models(deployment, cascades) == ((model,) if sampled else ())
