"""Nearness of two language models: perplexities, their interval, and the gate."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build.evaluation.comparison import figures_of
from build.evaluation.perplexity import GenerationFigures, ScoreFigures
from build.evaluation.rows import read_rows
from build.evaluation.teacher_forcing import FORCED_TOKENS, IDS, LOG_PROBABILITIES
from build.report.figures import similarity
from build.tasks.registry import TASKS
from contracts.models_toml import ConfigError, read_models_toml
from contracts.specs import Gate
from contracts.tasks import Task
from tests.fixtures.models.tiny_bert import write_rows
from tests.fixtures.problems import assert_problems

SCORES = Task.LANGUAGE_MODEL_SCORING


def answered(*rows: list[float]) -> list[list[dict[str, Any]]]:
    return [[{"per_token": [{"log_probability": x} for x in row]}] for row in rows]


def test_perplexities_are_compared_over_all_tokens(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"text": "a b c"}, {"text": "d"}])
    rows, problems = read_rows(path, TASKS[SCORES].rows, None)
    assert problems == []
    assert rows[0].request.parameters == {"per_token": True}
    reference, made = answered([-1.0, -2.0, -3.0], [-2.0]), answered([-1.0, -2.5, -3.0], [-2.1])
    figures = TASKS[SCORES].comparison.measure(made, reference, rows)
    assert isinstance(figures, ScoreFigures)
    assert figures.tokens == 4
    assert figures.perplexity_original == pytest.approx(math.exp(2))
    assert figures.perplexity_built == pytest.approx(math.exp(2.15))
    assert figures.ratio == pytest.approx(math.exp(0.15))
    # Of two rows drawn, both may be the first, or both the second.
    assert figures.ratio_low == pytest.approx(math.exp(0.1))
    assert figures.ratio_high == pytest.approx(math.exp(0.5 / 3))
    assert figures.difference_max == pytest.approx(0.5)
    assert figures.difference_p95 == pytest.approx(np.percentile([0, 0.5, 0, 0.1], 95))
    assert similarity(figures_of(figures)) == pytest.approx(figures.similarity, abs=1e-6)


@pytest.mark.parametrize(("ratio", "side"), [(1.02, "above"), (0.98, "below 1 over"), (1.005, "")])
def test_a_perplexity_may_be_neither_above_nor_below_the_reference_s(
    ratio: float, side: str
) -> None:
    figures = ScoreFigures(
        tokens=10,
        perplexity_original=50,
        perplexity_built=50 * ratio,
        ratio=ratio,
        ratio_low=ratio,
        ratio_high=ratio,
        difference_p95=0,
        difference_max=0,
    )
    wanted = f"of the reference's 50.0000, {side} max_perplexity_ratio 1.01"
    failures = figures.problems(Gate())
    assert [wanted in failure for failure in failures] == ([True] if side else [])
    assert (figures.similarity < figures.threshold(Gate())) == bool(side)


def test_the_gate_s_ratio_is_a_number_from_1_to_2(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    table = '[models.m]\nsource = "a"\neval = "b"\ncpu = {}\ntask = "language-model-scoring"\n'
    path.write_text(f"{table}gate = {{ max_perplexity_ratio = 1.1 }}\n", "utf-8")
    assert read_models_toml(path).models[0].gate.max_perplexity_ratio == 1.1
    path.write_text(f"{table}gate = {{ max_perplexity_ratio = 0.9, min_agreement = 1 }}\n", "utf-8")
    with pytest.raises(ConfigError) as caught:
        read_models_toml(path)
    at = "models.m.gate"
    assert_problems(
        caught.value.problems,
        ("setting_invalid", f"{at}.max_perplexity_ratio", "0.9", "a number from 1 to 2"),
        ("setting_unknown", f"{at}.min_agreement", "the keys here are max_perplexity_ratio"),
    )


def test_generators_are_compared_by_perplexity_and_by_their_next_tokens(
    tmp_path: Path,
) -> None:
    task = Task.TEXT_GENERATION
    path = write_rows(
        tmp_path / "rows.jsonl", [{"text": "a", "target": " b"}, {"text": "c", "target": " d"}]
    )
    rows, problems = read_rows(path, TASKS[task].rows, None)
    assert problems == []
    reference, made = (
        [
            [{FORCED_TOKENS: [1, 2], IDS: ids, LOG_PROBABILITIES: scores}]
            for ids, scores in ((first, [-1.0, -2.0]), ([3, 4], second))
        ]
        for first, second in (([1, 2], [-3.0, -4.0]), ([1, 9], [-3.0, -4.2]))
    )
    figures = TASKS[task].comparison.measure(made, reference, rows)
    assert isinstance(figures, GenerationFigures)
    assert (figures.tokens, figures.agreement, figures.reference) == (4, 0.75, "labels")
    assert figures.ratio == pytest.approx(math.exp(0.05))
    assert figures.problems(Gate(max_perplexity_ratio=1.06, min_token_agreement=0.75)) == []
    assert figures.problems(Gate()) == [
        "perplexity 12.8071 is 1.0513 of the reference's 12.1825, above max_perplexity_ratio 1.01",
        "same next token in 0.7500 of places, below min_token_agreement 0.95",
    ]
    better = TASKS[task].comparison.measure(reference, made, rows)
    assert (
        better.problems(Gate(min_token_agreement=0.7)) == []
    )  # to be surer than the reference is no fault
    assert similarity(figures_of(figures)) == figures.similarity == 0.75
