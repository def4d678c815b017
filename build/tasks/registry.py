"""The descriptions of all tasks."""

from collections.abc import Mapping

from build.tasks import (
    feature_extraction,
    fill_mask,
    language_model_scoring,
    question_answering,
    text2text_generation,
    text_classification,
    text_generation,
    text_ranking,
    token_classification,
    word_vectors,
    zero_shot_classification,
)
from build.tasks.description import TaskDescription
from contracts.tasks import Task

TASKS: Mapping[Task, TaskDescription] = {
    description.name: description
    for description in (
        text_classification.DESCRIPTION,
        token_classification.DESCRIPTION,
        zero_shot_classification.DESCRIPTION,
        text_ranking.DESCRIPTION,
        feature_extraction.DESCRIPTION,
        fill_mask.DESCRIPTION,
        question_answering.DESCRIPTION,
        text_generation.DESCRIPTION,
        text2text_generation.DESCRIPTION,
        language_model_scoring.DESCRIPTION,
        word_vectors.DESCRIPTION,
    )
}
