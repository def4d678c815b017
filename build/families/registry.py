"""The families of models by their names in the descriptions of tasks."""

from typing import Any

from build.families import encoders, generators, scorers, word_vectors
from build.families.family import Family
from build.sources.source import Source
from build.tasks.description import FamilyName

# The reader of each format checks that its sources suit the task, so the task decides the class of the source.
FAMILIES: dict[FamilyName, Family[Any, Any]] = {
    FamilyName.ENCODER: encoders.FAMILY,
    FamilyName.CAUSAL: generators.CAUSAL,
    FamilyName.SEQ2SEQ: generators.SEQ2SEQ,
    FamilyName.SCORER: scorers.FAMILY,
    FamilyName.WORD_VECTORS: word_vectors.FAMILY,
}


def family_of(source: Source) -> Family[Any, Any]:
    """Return the family of the source's task."""
    return FAMILIES[source.task.family]
