"""Vectors of fewer dimensions are proved as whole ones are, and named by their number where they fail."""

from dataclasses import replace

import numpy as np
import pytest

from build.evaluation.rows import Row
from build.evaluation.shorter_vectors import (
    no_shorter,
    of_length_1,
    shorter_figures,
    shorter_problems,
)
from build.evaluation.vectors.embedding_similarity import PairFigures, VectorFigures
from build.tasks.registry import TASKS
from contracts.manifest import SHORTER, Manifest
from contracts.prediction import PredictRequest
from contracts.specs import Gate
from contracts.tasks import Task, Tier

COMPARISON = TASKS[Task.FEATURE_EXTRACTION].comparison
MANIFEST = Manifest(
    model="m",
    task=Task.FEATURE_EXTRACTION,
    tier=Tier.CPU,
    precision="int8",
    recipe="int8",
    max_tokens=8,
    dimensions=4,
    normalize=True,
    details={SHORTER: [3, 1]},
    toolchain={},
)
Answers = list[list[dict[str, list[float]]]]


def answers(*vectors: list[float]) -> Answers:
    return [[{"embedding": vector}] for vector in vectors]


def plain(count: int) -> list[Row]:
    return [Row(request=PredictRequest(inputs=("a",)))] * count


def test_each_number_of_dimensions_has_figures_of_its_own() -> None:
    reference = answers([3.0, 0.0, 4.0, 0.0], [1.0, 2.0, 2.0, 9.0])
    # The last number alone differs, and the first by its sign.
    built = answers([3.0, 0.0, 4.0, 5.0], [-1.0, 2.0, 2.0, 9.0])
    figures = shorter_figures(COMPARISON, built, reference, plain(2), MANIFEST)
    assert [*figures] == [3, 1]
    assert all(isinstance(one, VectorFigures) for one in figures.values())
    assert figures[3].similarity == pytest.approx((1 + 7 / 9) / 2)
    assert figures[1].similarity == pytest.approx(0.0)
    problems = shorter_problems(figures, Gate(min_cosine_mean=0.8, min_cosine_p5=0.5))
    assert [problem.split(" is below ")[0] for problem in problems] == [
        "at 1 dimensions, mean cosine 0.0000",
        "at 1 dimensions, 5th percentile of the cosine -0.9000",
    ]
    assert shorter_problems({3: figures[3]}, Gate(min_cosine_mean=0.8, min_cosine_p5=0.5)) == []


def test_with_scores_both_are_ranked_by_their_shorter_vectors() -> None:
    rng = np.random.default_rng(7)
    pairs = rng.normal(size=(40, 2, 4))
    reference = [[{"embedding": v.tolist()} for v in pair] for pair in pairs]
    # People judge by the first three numbers, so that nothing is lost with the last, and much with the others.
    cut = pairs[:, :, :3] / np.linalg.norm(pairs[:, :, :3], axis=2, keepdims=True)
    scores = (cut[:, 0] * cut[:, 1]).sum(axis=1)
    rows = [Row(request=PredictRequest(inputs=("a", "b")), answer=float(score)) for score in scores]
    figures = shorter_figures(COMPARISON, reference, reference, rows, MANIFEST)
    three, one = figures[3], figures[1]
    assert isinstance(three, PairFigures)
    assert isinstance(one, PairFigures)
    assert three.metric_original == three.metric_built == pytest.approx(1.0)
    assert one.metric_original < 0.9


def test_a_model_without_fewer_dimensions_has_none() -> None:
    alone = replace(MANIFEST, details={})
    same = answers([1.0, 0.0, 0.0, 0.0])
    assert shorter_figures(COMPARISON, same, same, plain(1), alone) == {}


def test_as_many_dimensions_as_there_are_is_not_fewer() -> None:
    reference = answers([1.0, 2.0, 3.0])
    assert no_shorter((2, 1), reference) == ""
    assert no_shorter((4, 3, 2), reference) == "4, 3 is not fewer than the 3 that the vectors have"
    assert no_shorter((), reference) == no_shorter((), [[{"label": "a"}]]) == ""


def test_vectors_have_a_length_of_1_if_all_of_them_have() -> None:
    assert of_length_1(answers([0.6, 0.8], [1.0, 0.0]))
    assert not of_length_1(answers([0.6, 0.8], [1.0, 0.1]))
