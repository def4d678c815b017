"""The comparison of an artefact in full precision with the model's own library, answer by answer.

Both compute in float32, so only rounding may tell them apart. It changes the answer where the library itself hardly
prefers one to the next, and it changes a score by little:

- An answer (a label, a span, a tag, a token) may differ only where the library's margin is below MARGIN.
- A score or log-probability may differ by TOLERANCE, and one beyond 1 by that share of itself. A difference of MARGIN
  in a logit moves a probability by a quarter of it at most, and rounding moves logits by far less: a score that is
  further off has been computed from something else.
- A vector may differ by VECTOR in any place, once both have the length 1; without that, by that share of its length.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from build.evaluation.teacher_forcing import IDS, LOG_PROBABILITIES
from build.reading.outputs import Margins
from contracts.tasks import Task

MARGIN, TOLERANCE, VECTOR = 1e-3, 1e-3, 1e-5
Output = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The differences of one output: the largest margin of an answer that differs, and the largest of its numbers.

    `margin` is None where every answer is the same. `apart` is in units of what is allowed, so 1 is the limit.
    """

    margin: float | None = None
    apart: float = 0.0

    @property
    def allowed(self) -> bool:
        """Return whether rounding explains it."""
        return (self.margin is None or self.margin < MARGIN) and self.apart <= 1


Compare = Callable[[Output, Output, Margins], Difference]
NEVER = float("inf")


def differences(
    task: Task, ours: Sequence[Output], theirs: Sequence[Output], margins: Sequence[Margins]
) -> Difference:
    """Return the differences of all outputs of a row as one."""
    if len(ours) != len(theirs):
        return Difference(margin=NEVER)
    if task is Task.TEXT_RANKING:
        return _ranks(ours, theirs, margins)
    return _worst([COMPARISONS[task](*each) for each in zip(ours, theirs, margins, strict=True)])


def _worst(found: Sequence[Difference]) -> Difference:
    differing = [one.margin for one in found if one.margin is not None]
    return Difference(
        margin=max(differing) if differing else None,
        apart=max((one.apart for one in found), default=0.0),
    )


def _numbers(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the largest difference of two numbers, over what is allowed."""
    one, other = np.array(ours, np.float64), np.array(theirs, np.float64)
    if one.shape != other.shape:
        return NEVER
    allowed = TOLERANCE * np.maximum(1, np.abs(other))
    apart = np.abs(one - other) / allowed
    return float(np.nan_to_num(apart, nan=NEVER).max(initial=0))


def _labels(ours: Output, theirs: Output, margins: Margins) -> Difference:
    """Compare the scores of all labels, those that are given (of a multi-label model), and the best one."""
    expected = {each["label"]: each["score"] for each in margins["scores"]}
    found = {each["label"]: each["score"] for each in ours["top"]}
    if expected.keys() != found.keys() or ("labels" in ours) != ("labels" in theirs):
        return Difference(margin=NEVER)
    differing = [margins["margin"]] if ours["label"] != theirs["label"] else []
    if "labels" in theirs:
        given = [{each["label"] for each in one["labels"]} for one in (ours, theirs)]
        differing += [margins["labels"][label] for label in given[0] ^ given[1]]
    names = list(expected)
    apart = _numbers([found[n] for n in names], [expected[n] for n in names])
    return Difference(margin=max(differing) if differing else None, apart=apart)


def _entities(ours: Output, theirs: Output, margins: Margins) -> Difference:
    """Compare the entities; the margin of one that differs is the least of its tokens, any of which may move it."""
    found, expected = (
        {(e["start"], e["end"], e["label"]): e["score"] for e in one["entities"]}
        for one in (ours, theirs)
    )
    differing = [
        min(
            (m for first, last, m in margins["tokens"] if first < end and last > start),
            default=NEVER,
        )
        for start, end, _ in found.keys() ^ expected.keys()
    ]
    same = sorted(found.keys() & expected.keys())
    return Difference(
        margin=max(differing) if differing else None,
        apart=_numbers([found[s] for s in same], [expected[s] for s in same]),
    )


def _chosen(ours: Output, theirs: Output, margins: Margins) -> Difference:
    found, expected = (
        {each["label"]: each["score"] for each in one["top"]} for one in (ours, theirs)
    )
    if found.keys() != expected.keys():
        return Difference(margin=NEVER)
    return Difference(
        margin=margins["margin"] if ours["label"] != theirs["label"] else None,
        apart=_numbers([found[name] for name in expected], list(expected.values())),
    )


def _masks(ours: Output, theirs: Output, margins: Margins) -> Difference:
    if len(ours["masks"]) != len(theirs["masks"]):
        return Difference(margin=NEVER)
    return _worst(
        [
            Difference(
                margin=margin if one["token"] != other["token"] else None,
                # The scores in their order: tokens whose scores are nearly equal may change places.
                apart=_numbers(
                    [each["score"] for each in one["top"]], [each["score"] for each in other["top"]]
                ),
            )
            for one, other, margin in zip(
                ours["masks"], theirs["masks"], margins["masks"], strict=True
            )
        ]
    )


def _span(ours: Output, theirs: Output, margins: Margins) -> Difference:
    places = [tuple(one[key] for key in ("start", "end", "answer")) for one in (ours, theirs)]
    return Difference(
        margin=margins["margin"] if places[0] != places[1] else None,
        apart=_numbers([ours["score"]], [theirs["score"]]),
    )


def _vectors(ours: Output, theirs: Output, margins: Margins) -> Difference:
    one, other = (np.array(o["embedding"], np.float64) for o in (ours, theirs))
    if one.shape != other.shape or not np.isfinite(one).all():
        return Difference(apart=NEVER)
    lengths = [float(np.linalg.norm(each)) for each in (one, other)]
    if not all(lengths):
        return Difference(apart=NEVER if any(lengths) else 0.0)
    # Whether vectors are scaled to length 1 is a setting too.
    scaled = abs(lengths[0] - lengths[1]) / lengths[1]
    apart = np.abs(one / lengths[0] - other / lengths[1]).max()
    return Difference(apart=float(max(apart, scaled)) / VECTOR)


def _ranks(
    ours: Sequence[Output], theirs: Sequence[Output], margins: Sequence[Margins]
) -> Difference:
    """Compare the scores, and the order; the margin of two texts that change places is that of their logits."""
    differing = []
    for i, j in combinations(range(len(ours)), 2):
        before, after = ((o[i]["rank"] < o[j]["rank"]) for o in (theirs, ours))
        if before != after:
            differing.append(abs(margins[i]["logit"] - margins[j]["logit"]))
    return Difference(
        margin=max(differing) if differing else None,
        apart=_numbers([o["score"] for o in ours], [o["score"] for o in theirs]),
    )


def _generated(ours: Output, theirs: Output, margins: Margins) -> Difference:
    """Compare the text, and what is predicted along the forced tokens.

    `differs_at` is the place of the first generated token that differs, None where the text is the same.
    """
    found, expected = ours[IDS], theirs[IDS]
    if len(found) != len(expected):
        return Difference(margin=NEVER)
    differing = [
        margin
        for one, other, margin in zip(found, expected, margins["forced_margins"], strict=True)
        if one != other
    ]
    if (place := ours["differs_at"]) is not None:
        differing.append(margins["margins"][place] if place < len(margins["margins"]) else NEVER)
    along = Difference(
        margin=max(differing) if differing else None,
        apart=_numbers(ours[LOG_PROBABILITIES], theirs[LOG_PROBABILITIES]),
    )
    return _worst([along, _length(ours, margins), _sampled(ours, margins)])


def _length(ours: Output, margins: Margins) -> Difference:
    """Compare the tokens that follow a prompt by the model's own settings; requests have a limit of ours besides."""
    wished = margins["new_tokens"]
    same = wished is None or ours["new_tokens"] == min(wished, ours["max_new_tokens"])
    return Difference(margin=None if same else NEVER)


def _sampled(ours: Output, margins: Margins) -> Difference:
    """Compare the probabilities that the first token is sampled by; both are None without sampling.

    A limit cuts tokens off, and rounding may move one across it, which is left out of the comparison.
    """
    found, expected = ours["sampled"], margins["sampled"]
    if found is None or expected is None:
        return Difference(margin=None if found is expected else NEVER)
    likely = dict(expected)
    # Of a library that tells its likeliest alone, tokens that only we keep are not known.
    whole = sum(likely.values()) > 1 - TOLERANCE
    kept = {token for token, share in enumerate(found) if share > 0 and (whole or token in likely)}
    moved = kept ^ likely.keys()
    if len(moved) > 1:
        return Difference(margin=margins["margins"][0])
    rest = [
        1 - sum(shares.get(token, 0) for token in moved)
        for shares in (dict(enumerate(found)), likely)
    ]
    same = sorted(likely.keys() - moved)
    return Difference(
        margin=0.0 if moved else None,
        apart=_numbers([found[t] / rest[0] for t in same], [likely[t] / rest[1] for t in same]),
    )


def _scored(ours: Output, theirs: Output, margins: Margins) -> Difference:
    tokens = [
        [(each["token"], each["start"], each["end"]) for each in one["per_token"]]
        for one in (ours, theirs)
    ]
    scores = [[each["log_probability"] for each in one["per_token"]] for one in (ours, theirs)]
    return Difference(margin=NEVER if tokens[0] != tokens[1] else None, apart=_numbers(*scores))


COMPARISONS: Mapping[Task, Compare] = {
    Task.TEXT_CLASSIFICATION: _labels,
    Task.TOKEN_CLASSIFICATION: _entities,
    Task.ZERO_SHOT_CLASSIFICATION: _chosen,
    Task.FILL_MASK: _masks,
    Task.QUESTION_ANSWERING: _span,
    Task.FEATURE_EXTRACTION: _vectors,
    Task.TEXT_GENERATION: _generated,
    Task.TEXT2TEXT_GENERATION: _generated,
    Task.LANGUAGE_MODEL_SCORING: _scored,
}
