"""The tasks of encoders, one module each: from an input to texts, and from the graph's results to an output."""

from contracts.tasks import Task
from functions.inference.tasks.head import TaskHead


def head_of(task: Task) -> TaskHead:
    """Return the task's head, importing no other task; raise KeyError for a task that is not an encoder's."""
    # Imported here and not above: a cold start pays for the module of one task alone.
    match task:
        case Task.TEXT_CLASSIFICATION:
            from functions.inference.tasks.text_classification import HEAD
        case Task.FEATURE_EXTRACTION:
            from functions.inference.tasks.feature_extraction import HEAD
        case Task.TOKEN_CLASSIFICATION:
            from functions.inference.tasks.token_classification import HEAD
        case Task.QUESTION_ANSWERING:
            from functions.inference.tasks.question_answering import HEAD
        case Task.ZERO_SHOT_CLASSIFICATION:
            from functions.inference.tasks.zero_shot_classification import HEAD
        case Task.TEXT_RANKING:
            from functions.inference.tasks.text_ranking import HEAD
        case Task.FILL_MASK:
            from functions.inference.tasks.fill_mask import HEAD
        case _:
            raise KeyError(task)
    return HEAD
