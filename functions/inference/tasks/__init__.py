"""What a model's numbers mean, one module for each task of an encoder."""

from contracts.tasks import Task
from functions.inference.tasks.reading import TaskHead


def head_of(task: Task) -> TaskHead:
    """The task's reader; imports no other task. Raises KeyError for a task that is not an encoder's."""
    match task:
        case Task.TEXT_CLASSIFICATION:
            from functions.inference.tasks.classification import READER
        case Task.FEATURE_EXTRACTION:
            from functions.inference.tasks.embedding import READER
        case Task.TOKEN_CLASSIFICATION:
            from functions.inference.tasks.entities import READER
        case Task.QUESTION_ANSWERING:
            from functions.inference.tasks.answering import READER
        case Task.ZERO_SHOT_CLASSIFICATION:
            from functions.inference.tasks.zero_shot import READER
        case Task.TEXT_RANKING:
            from functions.inference.tasks.ranking import READER
        case Task.FILL_MASK:
            from functions.inference.tasks.masks import READER
        case _:
            raise KeyError(task)
    return READER
