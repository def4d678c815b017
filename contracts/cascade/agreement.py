"""The agreement of two tiers: whether their answers say the same, whatever their scores are."""

import re
import string
from collections.abc import Callable, Mapping
from typing import Any

from contracts.cascade.confidence import Outputs
from contracts.tasks import Task

Said = Callable[[Outputs], tuple[Any, ...]]


def words_of(answer: str) -> list[str]:
    """Return the words of an answer as SQuAD normalises it: no case, no punctuation, no articles."""
    plain = "".join(c for c in answer.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def words_written(text: str) -> list[str]:
    """Return the words of a generated text as those of an answer; all of it where that leaves none."""
    return words_of(text) or [text.strip()]


def _labels(outputs: Outputs) -> tuple[Any, ...]:
    return tuple(output["label"] for output in outputs)


def _entities(outputs: Outputs) -> tuple[Any, ...]:
    return tuple(
        frozenset((e["start"], e["end"], e["label"]) for e in output["entities"])
        for output in outputs
    )


def _answers(outputs: Outputs) -> tuple[Any, ...]:
    return tuple(words_of(output["answer"]) for output in outputs)


def _texts(outputs: Outputs) -> tuple[Any, ...]:
    return tuple(words_written(output["generated_text"]) for output in outputs)


def _best(outputs: Outputs) -> tuple[Any, ...]:
    """Return the place of the best text: a ranking is one answer, whatever the number of its texts."""
    scores = [output["score"] for output in outputs]
    return (scores.index(max(scores)),)


# What the outputs of a request say by task, one for each answer in it; those of CONFIDENCES and no others.
SAID: Mapping[Task, Said] = {
    Task.TEXT_CLASSIFICATION: _labels,
    Task.TOKEN_CLASSIFICATION: _entities,
    Task.QUESTION_ANSWERING: _answers,
    Task.ZERO_SHOT_CLASSIFICATION: _labels,
    Task.TEXT_RANKING: _best,
    Task.TEXT_GENERATION: _texts,
    Task.TEXT2TEXT_GENERATION: _texts,
}


def disagreements(task: Task, one: Outputs, other: Outputs) -> tuple[bool, ...]:
    """Return for each answer in the outputs of a request whether the two tiers say something else."""
    said = SAID[task]
    return tuple(a != b for a, b in zip(said(one), said(other), strict=True))
