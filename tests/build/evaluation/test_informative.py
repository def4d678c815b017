"""Rows on which the reference is no better than a trivial answer stop a build, and few rows or fair ones do not."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build import api
from build.errors import SourceError
from build.evaluation.agreement import AnswerFigures
from build.evaluation.informative import best_set
from build.evaluation.rows import Row
from build.proof.changed_answers import labels_in_rows
from build.report.figures import sentences
from build.stages.source import rows_stage
from build.stages.workspace import Workspace
from build.step import Step
from build.tasks.registry import TASKS
from build.workspace.cache import Cache
from contracts.prediction import PredictRequest
from contracts.specs import Gate
from contracts.tasks import Task
from tests.fixtures.models.tiny_bert import LABELS, deployment, headed, texts, write_rows
from tests.fixtures.problems import assert_problems

pytestmark = pytest.mark.build

Outputs = list[list[dict[str, Any]]]
TWO = PredictRequest(inputs=("a", "b"))


def rows(answers: Sequence[Any], request: PredictRequest = TWO) -> list[Row]:
    return [Row(request=request, answer=answer) for answer in answers]


def labelled(names: str) -> Outputs:
    return [[{"label": name}] for name in names]


def many(names: Sequence[str]) -> Outputs:
    return [[{"label": "x", "labels": [{"label": n} for n in own]}] for own in names]


def spans(*found: Sequence[tuple[int, int, str]]) -> Outputs:
    return [
        [{"entities": [{"start": s, "end": e, "label": name} for s, e, name in own]}]
        for own in found
    ]


def ranked(*scores: Sequence[float]) -> Outputs:
    return [[{"score": score, "rank": 1} for score in own] for own in scores]


def numbers(*values: float) -> Outputs:
    return [[{"label": "grade", "score": value}] for value in values]


def vectors(*angles: float) -> Outputs:
    return [
        [{"embedding": [1.0, 0.0]}, {"embedding": [float(np.cos(a)), float(np.sin(a))]}]
        for a in angles
    ]


def tokens(*log_probabilities: float) -> Outputs:
    return [[{"per_token": [{"log_probability": p}]}] for p in log_probabilities]


def ids(*found: Sequence[int]) -> Outputs:
    return [[{"ids": list(own)}] for own in found]


CLASSES, MASK, SPANS = Task.TEXT_CLASSIFICATION, Task.FILL_MASK, Task.TOKEN_CLASSIFICATION
RANK, EMBED, ANSWER = Task.TEXT_RANKING, Task.FEATURE_EXTRACTION, Task.QUESTION_ANSWERING
SCORE, WRITE = Task.LANGUAGE_MODEL_SCORING, Task.TEXT_GENERATION
PER, LOC = (0, 3, "PER"), (4, 9, "LOC")
SAME = "the reference gives all 10 rows the same answer, "
NONE = [None] * 10
MASKS: Outputs = [[{"masks": [{"token": "book"}]}]] * 10
REPEATED = [frozenset("a"), frozenset("b")] * 5


@pytest.mark.parametrize(
    ("task", "reference", "right", "found"),
    [
        # The most frequent label is right for half of the rows.
        (CLASSES, labelled("aaaaabbbbb"), "bbbbbaaaaa", ["the reference's accuracy on 10 rows is 0"]),
        (CLASSES, labelled("aaaaabbbbb"), "aaabbaabbb", []),
        (CLASSES, labelled("ababababab"), "aabbaabbaa", ["accuracy is 0.5000, no better than the 0.6000 of always"]),
        (CLASSES, labelled("a" * 10), "aaaaabbbbb", [SAME + "'a'", "no better than the 0.5000"]),
        (CLASSES, labelled("a" * 10), NONE, [SAME + "'a'"]),
        (CLASSES, labelled("a" * 9 + "b"), NONE, []),
        # All rows of one class: no model beats always answering it, and one that answers others is told apart.
        (CLASSES, labelled("a" * 9 + "b"), "a" * 10, []),
        (CLASSES, labelled("a" * 10), "a" * 10, [SAME + "'a'"]),
        (CLASSES, labelled("a" * 9), "ababababa", []),
        (CLASSES, many(["a", "b"] * 5), REPEATED, []),
        (CLASSES, many([""] * 10), REPEATED, [SAME + "[]", "micro F1 on 10 rows is 0"]),
        (CLASSES, many(["ab"] * 9 + ["a"]), REPEATED, ["micro F1 is 0.6207, no better than the 0.6667"]),
        (CLASSES, many(["b", "a"] * 4 + ["a", "b"]), REPEATED, ["micro F1 is 0.2000, no better than the 0.6667"]),
        (MASK, MASKS, ["book", "film"] * 5, [SAME + "'book'", "accuracy is 0.5000, no better than the 0.5000"]),
        (SPANS, spans(*[[]] * 10), [frozenset({PER})] * 10, [SAME + "[]", "entity F1 on 10 rows is 0"]),
        (SPANS, spans(*[[LOC]] * 9, [PER]), [frozenset({PER})] * 9 + [frozenset({LOC})], ["entity F1 on 10 rows is 0"]),
        (SPANS, spans(*[[PER]] * 9, [LOC]), [frozenset({PER})] * 10, []),
        (ANSWER, [[{"answer": ""}]] * 10, [("Ada",), ("",)] * 5, [SAME + "''", "0.5000, no better than the 0.5000"]),
        # The best text stands first in every row, as rows often have it.
        (RANK, ranked(*[(2.0, 1.0)] * 10), [0] * 10, []),
        (RANK, ranked(*[(1.0, 1.0)] * 10), [0] * 10, ["no order of their texts", "0.5000, no better than the 0.7500"]),
        (RANK, ranked(*[(1.0, 1.0)] * 10), NONE, ["no order of their texts"]),
        (RANK, ranked(*[(2.0, 1.0), (1.0, 2.0)] * 5), [0] * 10, ["0.7500, no better than the 0.7500 of any order"]),
        (EMBED, vectors(*[0.0] * 10), NONE, ["all 20 texts the same vector"]),
        # Scores may be distances; of unrelated ones the correlation is 0.27 on average, without its sign.
        (EMBED, vectors(*np.linspace(0.1, 3, 10)), range(10), []),
        (EMBED, vectors(*np.linspace(3, 0.1, 10)), range(10), []),
        (EMBED, vectors(*np.linspace(3, 0.1, 10)), [*map(int, "0918273645")], ["0.1515, no better than the 0.2660"]),
        (SCORE, tokens(*[-2.5] * 10), NONE, ["all 10 tokens the same log-probability, -2.5"]),
        (SCORE, tokens(*[-2.5] * 9, -2.6), NONE, []),
        (WRITE, ids(*[[7, 7]] * 10), ["x"] * 10, ["the same token in all places of 10 rows"]),
        (WRITE, ids(*[[7, 8]] * 10), NONE, ["the same text for all 10 rows"]),
        (WRITE, ids(*[[7, 8]] * 10), ["x"] * 10, []),
        (WRITE, ids(*[[7, 8]] * 9, [8]), NONE, []),
    ],
)  # fmt: skip
def test_answers_that_compare_nothing_are_named_with_their_figures(
    task: Task, reference: Outputs, right: Sequence[Any], found: list[str]
) -> None:
    findings = TASKS[task].comparison.uninformative(reference, rows(right))
    assert len(findings) == len(found), findings
    assert [part for part, whole in zip(found, findings, strict=True) if part not in whole] == []


def test_numbers_that_do_not_vary_or_rank_nothing_are_named() -> None:
    compare = TASKS[CLASSES].comparison_of({"regression": True})
    answers = [{"grade": float(i)} for i in range(10)]
    (same,) = compare.uninformative(numbers(*[2.5] * 10), rows(answers))
    assert same == "the reference gives all 10 rows the same numbers, 2.5"
    (reverse,) = compare.uninformative(numbers(*range(10, 0, -1)), rows(answers))
    assert (
        "Spearman correlation is -1.0000, no better than the 0.2660 of unrelated numbers" in reverse
    )
    assert compare.uninformative(numbers(*range(10)), rows(answers)) == []
    assert compare.uninformative(numbers(*[2.5] * 9), rows(answers[:9])) == []


def test_the_best_set_of_labels_for_all_rows_is_found_among_all_sets() -> None:
    """Against every set of the labels there are, for random rows."""
    chosen = np.random.default_rng(0)
    names = "abcd"
    for _ in range(50):
        right = [frozenset(n for n in names if chosen.random() < 0.4) for _ in range(12)]
        sets = [{n for n, bit in zip(names, f"{i:04b}", strict=True) if bit == "1"} for i in range(16)]  # fmt: skip
        best = max(
            2 * sum(len(own & r) for r in right) / max(1, sum(len(own) + len(r) for r in right))
            for own in sets
        )
        assert best_set(right) == pytest.approx(best)


def step_of(tmp_path: Path, right: Sequence[str], gate: Gate = Gate()) -> Step:  # noqa: B008
    folder = headed(tmp_path / "source", "BertForSequenceClassification", labels=LABELS)
    path = write_rows(
        tmp_path / "rows.jsonl",
        [{"text": t, "label": n} for t, n in zip(texts(len(right)), right, strict=True)],
    )
    (step,) = api.plan(deployment(folder, path, gpu=None, gate=gate), tmp_path / "out")
    return step


def test_a_build_stops_before_any_candidate_unless_it_is_told_to_go_on(tmp_path: Path) -> None:
    step = step_of(tmp_path, ["good", "bad"] * 6)
    reference = tuple(([{"label": "good", "score": 1.0}]) for _ in range(12))
    work = Workspace(
        folder=tmp_path, step=step, cache=Cache(tmp_path / "cache"), processors=(), reference=reference
    )  # fmt: skip
    with pytest.raises(SourceError) as caught:
        rows_stage(work)
    told = ("compares nothing", "allow_uninformative_rows = true", "`gate`")
    place = "tiny: `eval`"
    assert_problems(
        caught.value.problems,
        ("rows_uninformative", place, "all 12 rows the same answer, 'good'", *told),
        ("rows_uninformative", place, "0.5000, no better than the 0.5000", *told),
    )
    allowed = replace(step, gate=Gate(allow_uninformative_rows=True))
    went_on = rows_stage(replace(work, step=allowed))
    assert len(went_on.uninformative) == 2
    told_apart = tuple(([{"label": row.answer}]) for row in step.rows)
    assert rows_stage(replace(work, reference=told_apart)).uninformative == ()


def test_one_label_for_rows_without_right_answers_stops_a_build_if_its_scores_are_one_as_well(
    tmp_path: Path,
) -> None:
    step = step_of(tmp_path, ["good"] * 12)
    step = replace(step, rows=tuple(replace(row, answer=None) for row in step.rows))
    work = Workspace(folder=tmp_path, step=step, cache=Cache(tmp_path / "cache"), processors=())
    same = tuple([{"label": "good", "score": 0.9 + i / 10_000}] for i in range(12))
    with pytest.raises(SourceError, match="the same answer, 'good'"):
        rows_stage(replace(work, reference=same))
    graded = tuple([{"label": "good", "score": 0.9 + i / 1000}] for i in range(12))
    (finding,) = rows_stage(replace(work, reference=graded)).uninformative
    assert finding == "the reference gives all 12 rows the same answer, 'good'"


def test_where_all_rows_get_one_label_the_gate_compares_its_scores() -> None:
    unlabelled = [replace(row, answer=None) for row in rows(["good"] * 12)]

    def answered(*scores: float) -> Outputs:
        return [[{"label": "good", "score": score}] for score in scores]

    reference = answered(*(0.5 + i / 40 for i in range(12)))
    comparison = TASKS[Task.TEXT_CLASSIFICATION].comparison
    near = answered(*(0.501 + i / 40 for i in range(12)))
    assert comparison.measure(near, reference, unlabelled).problems(Gate()) == []
    flat = answered(*[0.6] * 12)
    (problem,) = comparison.measure(flat, reference, unlabelled).problems(Gate())
    assert "R²" in problem
    # A row with another label counts as one without a score for this one.
    other = [*near[:-1], [{"label": "bad", "score": 0.6}]]
    assert comparison.measure(other, reference, unlabelled).problems(Gate())
    # Labels that are known, or differ, are compared by themselves.
    right = rows(["good"] * 12)
    assert isinstance(comparison.measure(flat, reference, right), AnswerFigures)
    mixed = [[{"label": "bad", "score": 0.5}], *reference[1:]]
    assert isinstance(comparison.measure(mixed, mixed, unlabelled), AnswerFigures)


def test_labels_that_never_occur_are_counted_and_listed(tmp_path: Path) -> None:
    step = step_of(tmp_path, ["good", "bad"] * 6)
    reference = [[{"label": "so-so"}]] * 12
    assert labels_in_rows(step, reference) == {"labels": 3, "labels_unseen": ["so-so"]}
    unlabelled = replace(step, rows=tuple(replace(row, answer=None) for row in step.rows))
    found = labels_in_rows(unlabelled, reference)
    assert found == {"labels": 3, "labels_unseen": ["bad", "good"]}
    read = {"reading": {"libraries": {}, "why": "no second reader"}}
    _, sentence = sentences({**found, **read, "reference": "original", "uninformative": []})
    assert sentence == "2 of 3 labels never occur in the reference's answers: bad, good."
    document = {"labels": 30, "labels_unseen": [f"l{i}" for i in range(25)], "reference": "labels"}
    finding = "the reference's accuracy on 10 rows is 0"
    _, first, second = sentences({**document, **read, "uninformative": [finding]})
    assert first == f"These rows prove little: {finding}."
    assert second.startswith("25 of 30 labels never occur in your rows: l0, l1, ")
    assert second.endswith("l19, ….")


@pytest.mark.parametrize(
    ("task", "labels", "answers", "known"),
    [
        (SPANS, ("O", "B-PER", "I-PER", "LOC"), [frozenset({PER})], ["PER", "LOC"]),
        (Task.ZERO_SHOT_CLASSIFICATION, ("no", "entailment"), ["b"], ["b", "c"]),
    ],
)
def test_labels_are_those_that_answers_have(
    task: Task, labels: Sequence[str], answers: Sequence[Any], known: list[str]
) -> None:
    """Of entities those without prefixes, of zero-shot models those to choose from."""
    request = PredictRequest(inputs=("a",), parameters={"candidate_labels": ["b", "c"]})
    own = TASKS[task].answer_labels
    assert own is not None
    assert list(own.known(labels, rows(answers, request))) == known
    assert list(own.of(answers[0])) == known[:1]
