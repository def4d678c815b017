"""The confidence in an answer: a number from 0 to 1, read from the outputs as they are served.

The same functions run where a threshold is calibrated and where the router applies it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.tasks import Task

Outputs = Sequence[Mapping[str, Any]]
Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """The confidence of a task's answers.

    `of` returns one number for each output of a request with some parameters, None where they have none. Answers to
    requests whose values of `bound_to` differ are not of the same kind: what was calibrated for one of them says
    nothing about the other; one that gives a value of `defaults` is like one that gives none. `meaning` is for the
    documentation. With `whole`, all outputs of a request are one answer.
    Of those that are not `sampled`, no share is compared with the GPU tier's while they are served.
    """

    of: Callable[[Outputs, Parameters], tuple[float, ...] | None]
    meaning: str
    bound_to: tuple[str, ...] = ()
    whole: bool = False
    sampled: bool = True
    defaults: Mapping[str, Any] = field(default_factory=dict)


def of_best(outputs: Outputs, parameters: Parameters) -> tuple[float, ...] | None:
    """Return the score of each output's best answer; None where labels do not exclude each other."""
    if any("labels" in output for output in outputs):
        return None
    return tuple(min(float(output["score"]), 1.0) for output in outputs)


def of_all_labels(outputs: Outputs, parameters: Parameters) -> tuple[float, ...]:
    """Return the score of the best label; of labels that do not exclude each other, that of the least certain one."""
    if not parameters.get("multi_label") and all(len(output["top"]) > 1 for output in outputs):
        return tuple(float(output["score"]) for output in outputs)
    scores = ([float(label["score"]) for label in output["top"]] for output in outputs)
    return tuple(min(max(score, 1 - score) for score in of_labels) for of_labels in scores)


def of_ranking(outputs: Outputs, parameters: Parameters) -> tuple[float, ...] | None:
    """Return for every text how far the best one is ahead of the next: a ranking is kept or asked for as a whole."""
    if parameters.get("raw_scores"):
        return None
    best, *others = sorted((float(output["score"]) for output in outputs), reverse=True)
    ahead = best - others[0] if others else 1.0
    return (min(ahead, 1.0),) * len(outputs)


def of_texts(outputs: Outputs, parameters: Parameters) -> tuple[float, ...] | None:
    """Return the confidence of each generated text; None where tokens were sampled, or a text was cut by the time."""
    if any("confidence" not in output for output in outputs):
        return None
    return tuple(float(output["confidence"]) for output in outputs)


# The sampling function asks in our words alone, and a GPU tier of a model that writes may be vLLM's.
WRITING = Confidence(
    of=of_texts,
    meaning="geometric mean of the probabilities of the generated tokens; none where they are sampled",
    # Whatever samples leaves the answer without a confidence.
    bound_to=("max_new_tokens", "repetition_penalty", "stop", "return_full_text"),
    defaults={"stop": [], "return_full_text": False},
    sampled=False,
)
CONFIDENCES: Mapping[Task, Confidence] = {
    Task.TEXT_CLASSIFICATION: Confidence(
        of=of_best, meaning="score of the label; none for several labels at once, or for numbers"
    ),
    Task.TOKEN_CLASSIFICATION: Confidence(
        of=of_best, meaning="score of the least certain token", bound_to=("aggregation",)
    ),
    Task.QUESTION_ANSWERING: Confidence(
        of=of_best,
        meaning="score of the answer",
        bound_to=("max_answer_len", "handle_impossible_answer"),
    ),
    Task.ZERO_SHOT_CLASSIFICATION: Confidence(
        of=of_all_labels,
        meaning="score of the label; with `multi_label` that of the least certain one",
        bound_to=("candidate_labels", "hypothesis_template", "multi_label"),
    ),
    Task.TEXT_RANKING: Confidence(
        of=of_ranking,
        meaning="score of the best text less that of the next; the request goes as a whole",
        bound_to=("prompt_name",),
        whole=True,
    ),
    Task.TEXT_GENERATION: WRITING,
    Task.TEXT2TEXT_GENERATION: WRITING,
}


def binding(task: Task, parameters: Parameters) -> dict[str, Any]:
    """Return those of a request's parameters that a calibration is bound to; lists of labels without their order."""
    confidence = CONFIDENCES[task]
    given = {name: parameters[name] for name in confidence.bound_to if name in parameters}
    bound = {k: v for k, v in given.items() if confidence.defaults.get(k) != v}
    return {
        name: sorted(value) if isinstance(value, list | tuple) else value
        for name, value in bound.items()
    }
