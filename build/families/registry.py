"""Which family a source belongs to: its task says."""

from build.families import encoders, generators, scorers, word_vectors
from build.families.family import Family
from build.sources.source import Source
from contracts.tasks import Task

FAMILIES = {
    Task.TEXT_GENERATION: generators.CAUSAL,
    Task.TEXT2TEXT_GENERATION: generators.SEQ2SEQ,
    Task.WORD_VECTORS: word_vectors.FAMILY,
    Task.LANGUAGE_MODEL_SCORING: scorers.FAMILY,
}


def family_of(source: Source) -> Family:
    return FAMILIES.get(source.task, encoders.FAMILY)
