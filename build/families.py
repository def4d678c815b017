"""Which family a source belongs to: its task says."""

from build import encoders, wordvectors, writers
from build.family import Family
from build.source import Source
from contracts.tasks import Task

FAMILIES = {
    Task.TEXT_GENERATION: writers.CAUSAL,
    Task.TEXT2TEXT_GENERATION: writers.SEQ2SEQ,
    Task.WORD_VECTORS: wordvectors.FAMILY,
}


def family_of(source: Source) -> Family:
    return FAMILIES.get(source.task, encoders.FAMILY)
