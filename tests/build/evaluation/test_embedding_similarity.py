"""Encoders are proven by the cosine of their vectors, and by how they rank pairs of texts that people have scored."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build import api
from build.evaluation.rows import Row, read_rows
from build.evaluation.spearman import correlations, spearman
from build.evaluation.vectors.embedding_similarity import PairFigures, VectorFigures, cosines
from build.sources.source import TransformersSource
from build.tasks.registry import TASKS
from contracts.prediction import PredictRequest
from contracts.specs import Gate
from contracts.tasks import Task
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import deployment, encoder, texts, write_rows
from tests.fixtures.problems import assert_problems
from tests.fixtures.transformers_pipelines import answers
from turnout.building import proof

pytestmark = pytest.mark.build

EMBED = Task.FEATURE_EXTRACTION
SCORE = '"score" has to be a number that says how alike "text" and "text_pair" are'
Answers = list[list[dict[str, Any]]]


def pair(score: Any, one: str = "a", other: str = "b") -> dict[str, Any]:
    return {"text": one, "text_pair": other, "score": score}


def scored(*scores: float) -> list[Row]:
    return [Row(request=PredictRequest(inputs=("a", "b")), answer=score) for score in scores]


def at(*degrees: float) -> Answers:
    """Two vectors a row, with that angle between them."""
    angles = np.radians(degrees)
    return [
        [{"embedding": [1.0, 0.0]}, {"embedding": [float(np.cos(a)), float(np.sin(a))]}]
        for a in angles
    ]


def test_a_row_is_a_text_or_a_scored_pair_in_our_words_or_those_of_the_sts_benchmark(
    tmp_path: Path,
) -> None:
    sts: dict[str, Any] = {"sentence1": "a", "sentence2": "b", "score": 0, "genre": "main-news"}
    path = write_rows(tmp_path / "rows.jsonl", [pair(3.8), sts])
    assert read_rows(path, TASKS[EMBED].rows, None) == (tuple(scored(3.8, 0.0)), [])
    plain = write_rows(tmp_path / "plain.jsonl", [{"text": "a"}, {"sentence1": "b"}])
    rows, problems = read_rows(plain, TASKS[EMBED].rows, None)
    assert ([row.request.inputs for row in rows], problems) == ([("a",), ("b",)], [])
    assert [row.answer for row in rows] == [None, None]


def test_every_invalid_row_is_reported_with_its_problem(tmp_path: Path) -> None:
    lines = [
        *map(json.dumps, (pair(3), {"text": "a"}, pair("3"), pair(True), {"text": "a", "score": 1})),
        json.dumps({"text": "a", "text_pair": "b"}),
        *(json.dumps(pair(float(number))) for number in ("nan", "-inf")),
        '{"text": "a", "text_pair": "b", "score": 1e999}',
        '{"sentence1": "a", "sentence2": "b", "score": null}',
        '{"sentence1": "a", "score": 2}',
    ]  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    ours, stss = ('alike "text" and "text_pair"', 'alike "sentence1" and "sentence2"')
    assert_problems(
        read_rows(path, TASKS[EMBED].rows, None)[1],
        ("rows_invalid", f"{path}:3", '"score"', ours),
        ("rows_invalid", f"{path}:4", '"score"', ours),
        ("rows_invalid", f"{path}:5", 'no "text_pair"', "not empty"),
        *(("rows_invalid", f"{path}:{n}", '"score"', ours) for n in (6, 7, 8, 9)),
        ("rows_invalid", f"{path}:10", '"score"', stss),
        ("rows_invalid", f"{path}:11", 'no "sentence2"', "not empty"),
        ("rows_invalid", path, "1 of 2 other rows have a score", "to all of them, or to none"),
    )


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([pair(1), pair(2), {"text": "a"}],
         ("rows_invalid", "2 of 3 rows have a score", "give it to all of them, or to none")),
        ([pair(2.5), pair(2.5)], ("rows_invalid", "every score is 2.5", "or leave the scores out")),
        ([], ("rows_missing", '{"text": "..."} or {"text": "...", "text_pair": "...", "score": 3.8}')),
    ],
    ids=["mixed", "all the same", "none"],
)  # fmt: skip
def test_rows_that_prove_nothing_together_are_refused(
    tmp_path: Path, rows: list[Any], problem: tuple[str, ...]
) -> None:
    path = write_rows(tmp_path / "rows.jsonl", rows)
    code, *texts = problem
    assert_problems(read_rows(path, TASKS[EMBED].rows, None)[1], (code, path, *texts))


@pytest.mark.parametrize(
    ("one", "other", "right"),
    [
        ([106, 100, 86, 101, 99, 103, 97, 113, 112, 110], [7, 27, 2, 50, 28, 29, 20, 12, 6, 17], -29 / 165),
        ([1, 2, 2, 4], [1, 3, 2, 4], 4.5 / 22.5**0.5),
        ([1, 2, 3], [5, 5, 5], 0),
    ],
    ids=["no ties", "ties share their mean rank", "nothing is ranked"],
)  # fmt: skip
def test_ranks_are_correlated_as_textbooks_do(
    one: list[float], other: list[float], right: float
) -> None:
    found = spearman(np.array(one), np.array(other), np.ones((1, len(one))))
    assert found == pytest.approx(np.array([right]))


def test_a_resample_weighs_a_row_as_often_as_it_was_drawn() -> None:
    generator = np.random.default_rng(5)
    one = generator.integers(0, 5, 30).astype(np.float64)
    other = one + generator.integers(0, 4, 30)
    weights = generator.multinomial(30, np.full(30, 1 / 30), 8).astype(np.float64)
    repeated = [
        spearman(np.repeat(one, w), np.repeat(other, w), np.ones((1, w.sum())))[0]
        for w in weights.astype(int)
    ]
    assert spearman(one, other, weights) == pytest.approx(np.array(repeated))
    assert spearman(one, np.ones(30), weights).tolist() == [0] * 8
    assert spearman(one, -one, np.ones((1, 30)))[0] == pytest.approx(-1)


def test_the_interval_of_a_correlation_is_as_wide_as_theory_says() -> None:
    """By Fisher's transformation with the variance 1.06 / (n - 3) of Fieller, Hartley and Pearson 1957."""
    generator = np.random.default_rng(1)
    scores, noise = generator.normal(size=(2, 500))
    reference, candidate, difference = correlations(scores, scores + noise, scores + noise)
    low, high = np.tanh(np.arctanh(reference.value) + np.array([-1.96, 1.96]) * (1.06 / 497) ** 0.5)
    assert (reference.low, reference.high) == pytest.approx((low, high), abs=0.01)
    assert candidate == reference
    assert (difference.low, difference.high) == (0, 0)


def test_the_interval_of_the_mean_cosine_is_over_rows_however_many_texts_they_have() -> None:
    """1,000 rows, 100 of them at a right angle: by the normal approximation 0.9 +- 1.96 * sqrt(0.9 * 0.1 / 1000)."""
    for texts_each in (1, 2):
        reference = [[{"embedding": [1.0, 0.0]}] * texts_each] * 1000
        built = [[{"embedding": [0.0, 1.0]}] * texts_each] * 100 + reference[100:]
        found = TASKS[EMBED].comparison.measure(
            built, reference, [Row(request=PredictRequest(inputs=("a",)))] * 1000
        )
        assert type(found) is VectorFigures
        assert (found.cosine_low, found.cosine_high) == pytest.approx((0.8814, 0.9186), abs=0.002)


def test_two_vectors_of_zeros_are_the_same_and_one_is_another() -> None:
    zeros, ones = [{"embedding": [0.0, 0.0]}], [{"embedding": [1.0, 1.0]}]
    rows = [Row(request=PredictRequest(inputs=("a",)))] * 2
    assert (
        TASKS[EMBED].comparison.measure([zeros, ones], [zeros, ones], rows).problems(Gate()) == []
    )
    found = TASKS[EMBED].comparison.measure([zeros, ones], [ones, ones], rows)
    assert isinstance(found, VectorFigures)
    assert found.cosine_min == 0


def test_scored_pairs_are_measured_against_people_and_against_the_reference() -> None:
    reference, built = at(10, 20, 30, 40), at(10, 30, 20, 40)
    found = TASKS[EMBED].comparison.measure(built, reference, scored(4, 3, 2, 1))
    assert isinstance(found, PairFigures)
    assert (found.metric, found.reference) == ("Spearman correlation", "labels")
    assert (found.metric_original, found.metric_built) == pytest.approx((1, 0.8))
    assert found.metric_built_low < 0.8 < found.metric_built_high <= 1 + 1e-9
    assert found.difference_low < -0.2 < found.difference_high <= 1e-9
    one = [o["embedding"] for row in reference for o in row]
    other = [o["embedding"] for row in built for o in row]
    assert found.similarity == pytest.approx(cosines(np.array(one), np.array(other)).mean())
    assert found.problems(Gate(min_cosine_mean=0, min_cosine_p5=0)) == [
        "Spearman correlation 0.8000 is below 0.9900 (min_accuracy_ratio 0.99 of the reference's 1.0000)"
    ]
    assert found.problems(Gate(min_cosine_mean=1, min_cosine_p5=0, min_accuracy_ratio=0.8)) == [
        f"mean cosine {found.cosine_mean:.4f} is below min_cosine_mean 1"
    ]


def test_scores_that_fall_where_texts_are_alike_need_no_more_than_others() -> None:
    """Distances, whose correlation is below 0: what is as the reference passes."""
    same = TASKS[EMBED].comparison.measure(at(10, 30, 20), at(10, 30, 20), scored(1, 2, 3))
    assert isinstance(same, PairFigures)
    assert same.metric_original == pytest.approx(-0.5)
    assert same.problems(Gate(min_accuracy_ratio=1)) == []
    farther = TASKS[EMBED].comparison.measure(at(10, 20, 30), at(10, 30, 20), scored(1, 2, 3))
    assert farther.problems(Gate(min_cosine_mean=0, min_cosine_p5=0)) == [
        "Spearman correlation -1.0000 is below -0.5050 (min_accuracy_ratio 0.99 of the reference's -0.5000)"
    ]


def test_an_encoder_is_built_on_scored_pairs_and_the_page_and_the_table_report_them(
    tmp_path: Path,
) -> None:
    folder, out = encoder(tmp_path / "encoder"), tmp_path / "models.out"
    source = read_as(TransformersSource, folder, EMBED)
    pairs = list(zip(texts(40), texts(60)[20:], strict=True))
    found = answers(source, [PredictRequest(inputs=pair) for pair in pairs])
    near = [float(np.dot(one["embedding"], other["embedding"])) for one, other in found]
    rows = [pair(5 * c, *two) for c, two in zip(near, pairs, strict=True)]
    spec = deployment(folder, write_rows(tmp_path / "rows.jsonl", rows), EMBED, gpu=None)
    api.run(api.plan(spec, out), out)
    document = json.loads((out / "tiny/evidence/cpu.json").read_text("utf-8"))
    assert (document["metric"], document["rows"]) == ("Spearman correlation", 40)
    assert document["metric_original"] == pytest.approx(1)
    assert all(c["metric_built_low"] <= c["metric_built_high"] for c in document["candidates"])
    change = f"{document['metric_original']:.4f} → {document['metric_built']:.4f}"
    assert proof(document).startswith(f"Spearman correlation {change} (")
    assert f"cosine {document['cosine_mean']:.4f} mean" in proof(document)
    page = (out / "tiny/report.html").read_text("utf-8")
    assert f"<b>{change}</b><span>Spearman correlation on 40 rows</span>" in page
    assert "with the scores in your rows lies between" in page
    assert "your rows have no scores" not in page
    assert f"Spearman correlation {document['metric_built']:.4f}</title>" in page
    assert "<th class=n>difference, 95 % interval</th>" in page


def test_a_page_has_the_interval_of_the_cosine(tmp_path: Path) -> None:
    folder, out = encoder(tmp_path / "encoder"), tmp_path / "models.out"
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in texts(20)])
    api.run(api.plan(deployment(folder, rows, EMBED, gpu=None), out), out)
    document = json.loads((out / "tiny/evidence/cpu.json").read_text("utf-8"))
    low, high = (f"{document[f'cosine_{end}']:.4f}" for end in ("low", "high"))
    page = (out / "tiny/report.html").read_text("utf-8")
    assert (
        f"lies between {low} and {high} (95 % interval, bootstrap over rows); your rows have no"
        in page
    )
    assert "<th class=n>mean cosine, 95 % interval</th>" in page
    assert f"mean ({low} to {high}), " in proof(document)
