"""What a model does, and where it runs."""

from enum import StrEnum


class Task(StrEnum):
    """Tasks that can be served, by their Hugging Face names."""

    TEXT_CLASSIFICATION = "text-classification"
    FEATURE_EXTRACTION = "feature-extraction"


class Tier(StrEnum):
    """The two kinds of place a model is deployed to."""

    CPU = "cpu"
    GPU = "gpu"
