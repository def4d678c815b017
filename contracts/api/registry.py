"""The APIs of all tasks. It imports every one of them: a function imports only its own."""

from collections.abc import Mapping

from contracts.api import (
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
from contracts.api.task_api import TaskApi
from contracts.tasks import Task

APIS: Mapping[Task, TaskApi] = {
    Task.TEXT_CLASSIFICATION: text_classification.API,
    Task.TOKEN_CLASSIFICATION: token_classification.API,
    Task.ZERO_SHOT_CLASSIFICATION: zero_shot_classification.API,
    Task.TEXT_RANKING: text_ranking.API,
    Task.FEATURE_EXTRACTION: feature_extraction.API,
    Task.FILL_MASK: fill_mask.API,
    Task.QUESTION_ANSWERING: question_answering.API,
    Task.TEXT_GENERATION: text_generation.API,
    Task.TEXT2TEXT_GENERATION: text2text_generation.API,
    Task.LANGUAGE_MODEL_SCORING: language_model_scoring.API,
    Task.WORD_VECTORS: word_vectors.API,
}
