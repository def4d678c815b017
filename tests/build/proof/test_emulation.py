"""The rows, and the tokens of each, that an artefact is run on under an emulator."""

from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.evaluation.teacher_forcing import TEACHER_FORCED
from build.proof.emulation import (
    MAX_BYTE_TOKENS,
    MAX_FORCED_TOKENS,
    MAX_ROWS,
    MAX_ROWS_EXACT,
    MIN_ROWS,
    MIN_ROWS_GENERATED,
    SINGLE_TOKEN_COST,
    places_to_run,
    sample,
    truncated,
)
from contracts.prediction import PredictRequest


def test_a_sample_is_even_and_as_large_as_requested() -> None:
    assert sample(range(61), 60)[:3] == [0, 1, 2]
    assert len(sample(range(61), 60)) == 60
    assert sample(range(10), 4) == [0, 2, 5, 7]
    assert sample([1, 2], 60) == [1, 2]


def test_the_larger_a_model_the_fewer_rows_and_never_too_few() -> None:
    rows = [Row(request=PredictRequest(inputs=("word " * 80,)))] * 300
    read: list[Outputs] = [[{"label": "fine"}]] * 300
    written: list[Outputs] = [[dict.fromkeys(TEACHER_FORCED, list(range(200)))]] * 300
    assert len(places_to_run(1, rows, read, few=False)) == MAX_ROWS
    assert len(places_to_run(1, rows, read, few=True)) == MAX_ROWS_EXACT
    assert len(places_to_run(10**9, rows, read, few=False)) == MIN_ROWS
    assert len(places_to_run(10**9, rows, written, few=False)) == MIN_ROWS_GENERATED
    assert len(places_to_run(40_000_000, rows, written, few=False)) == int(
        MAX_BYTE_TOKENS / 40e6 / (100 + SINGLE_TOKEN_COST * MAX_FORCED_TOKENS)
    )


def test_where_few_rows_are_enough_the_long_ones_are_spared() -> None:
    texts = ["a word", *["a word " * 200] * 2, *["two words"] * 10]
    rows = [Row(request=PredictRequest(inputs=(text,))) for text in texts]
    read: list[Outputs] = [[{"label": "fine"}]] * len(rows)
    assert places_to_run(1, rows, read, few=False) == list(range(len(rows)))
    assert places_to_run(1, rows, read, few=True) == [0, *range(3, len(rows))]
    assert places_to_run(1, rows[1:3], read[1:3], few=True) == [0, 1]


def test_a_generator_is_run_along_the_first_tokens_alone() -> None:
    outputs = [{**dict.fromkeys(TEACHER_FORCED, list(range(50))), "tokens": 3}]
    first = {**dict.fromkeys(TEACHER_FORCED, list(range(MAX_FORCED_TOKENS))), "tokens": 3}
    assert truncated(outputs) == [first]
    assert truncated([{"label": "fine"}]) == [{"label": "fine"}]
