"""Which family a source belongs to: its task says."""

from typing import Any

from build.families import encoders, generators, scorers, word_vectors
from build.families.family import Family
from build.sources.source import Source
from contracts.tasks import Task

# The reader of each format checks that its sources suit the task, so the task decides the class of the source.
FAMILIES: dict[Task, Family[Any, Any]] = {
    Task.TEXT_GENERATION: generators.CAUSAL,
    Task.TEXT2TEXT_GENERATION: generators.SEQ2SEQ,
    Task.WORD_VECTORS: word_vectors.FAMILY,
    Task.LANGUAGE_MODEL_SCORING: scorers.FAMILY,
}


def family_of(source: Source) -> Family[Any, Any]:
    return FAMILIES.get(source.task, encoders.FAMILY)
