"""Settings as contracts have them."""

from dataclasses import replace

from contracts.specs import Deployment
from contracts.tasks import Task
from tests.fixtures.synthesis import INTENTS, WORDS


def test_a_deployment_has_a_gpu_where_one_of_its_models_has() -> None:
    assert Deployment(models=(WORDS, INTENTS)).has_gpu
    assert not Deployment(models=(WORDS,)).has_gpu
    assert not Deployment().has_gpu


def test_a_deployment_streams_where_one_of_its_models_writes() -> None:
    writer = replace(WORDS, task=Task.TEXT2TEXT_GENERATION)
    assert Deployment(models=(INTENTS, writer)).streams
    assert not Deployment(models=(INTENTS,)).streams
    assert not Deployment().streams
