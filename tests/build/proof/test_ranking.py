"""Candidates are ranked by their times, and those of OpenVINO come first only where that pays."""

from pathlib import Path

import pytest

from build.evaluation.agreement import AnswerFigures
from build.proof.candidate import Candidate
from build.proof.ranking import pays, ranked
from build.proof.timing import UNTIMED, Timing
from build.recipes.recipe import EncoderRecipe
from contracts.manifest import Manifest
from contracts.specs import Objective
from contracts.tasks import Runtime, Task, Tier


def candidate(
    name: str,
    ms: float,
    *,
    runtime: Runtime = Runtime.ONNX_RUNTIME,
    load_ms: float = 50.0,
    agreement: float = 1.0,
    problems: tuple[str, ...] = (),
) -> Candidate:
    figures = AnswerFigures(
        metric="accuracy",
        reference="original",
        metric_original=1,
        metric_built=1,
        difference_low=0,
        difference_high=0,
        agreement=agreement,
        agreement_low=0,
        agreement_high=1,
    )
    manifest = Manifest(
        model="m",
        task=Task.TEXT_CLASSIFICATION,
        tier=Tier.CPU,
        precision="int8",
        recipe=name,
        max_tokens=8,
        toolchain={},
    )
    return Candidate(
        folder=Path(name),
        recipe=EncoderRecipe(name=name, runtime=runtime),
        manifest=manifest,
        figures=figures,
        problems=problems,
        timing=Timing(ms={8: ms}, load_ms=load_ms, peak_mb=1.0),
        expected_ms=ms,
    )


def second(ms: float, load_ms: float = 450.0) -> Candidate:
    return candidate("second", ms, runtime=Runtime.OPENVINO, load_ms=load_ms)


def names(*candidates: Candidate) -> list[str]:
    return [each.recipe.name for each in ranked(candidates, Objective.LATENCY)]


@pytest.mark.parametrize(
    ("ms", "load_ms", "worth"),
    [
        # 10 ms a row without it, and 50 ms to load.
        (8.0, 450.0, True),
        (9.0, 1050.0, True),
        (9.0, 1051.0, False),  # saves 1 ms a row, so 1 s in a thousand requests
        (9.1, 450.0, False),  # less than a tenth
        (10.0, 10.0, False),
        (12.0, 10.0, False),
    ],
)
def test_openvino_has_to_save_a_tenth_and_make_its_start_good(
    ms: float, load_ms: float, worth: bool
) -> None:
    first = candidate("first", 10.0)
    assert pays(second(ms, load_ms), first) is worth
    expected = ["second", "first"] if worth else ["first", "second"]
    assert names(first, second(ms, load_ms)) == expected


def test_what_was_not_timed_saves_nothing() -> None:
    first = candidate("first", 0.0)
    assert names(second(0.0, UNTIMED.load_ms), first) == ["first", "second"]


def test_within_short_rows_a_tenth_does_not_make_a_start_good() -> None:
    assert not pays(second(1.0), candidate("first", 1.3))
    assert pays(second(1.0), candidate("first", 1.5))


def test_it_is_compared_with_the_candidate_that_would_ship() -> None:
    """The most faithful of those that are as fast as the fastest."""
    fast, faithful = candidate("fast", 10.0, agreement=0.99), candidate("faithful", 10.4)
    assert names(fast, faithful, second(9.2)) == ["second", "faithful", "fast"]
    assert names(fast, second(9.2)) == ["fast", "second"]


def test_alone_it_needs_no_gain() -> None:
    refused = candidate("first", 1.0, problems=("differs",))
    assert names(second(99.0)) == ["second"]
    assert names(refused, second(99.0)) == ["second"]
