"""Settings as contracts have them."""

from contracts.specs import Deployment
from tests.fixtures.synthesis import INTENTS, WORDS


def test_a_deployment_has_a_gpu_where_one_of_its_models_has() -> None:
    assert Deployment(models=(WORDS, INTENTS)).has_gpu
    assert not Deployment(models=(WORDS,)).has_gpu
    assert not Deployment().has_gpu
