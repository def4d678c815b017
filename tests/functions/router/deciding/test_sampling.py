"""Answers of the CPU tier are sampled by chance, where a threshold has kept them or the request is shadowed."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest

from contracts.cascade.drift import Baseline
from contracts.cascade.sampling import Calibrated, Sample
from contracts.prediction import PredictRequest, Prefer, TierAnswer
from contracts.routes import Cascade, Route
from contracts.tasks import Task, Tier
from functions.router.deciding.decision import decide
from functions.router.deciding.sampling import sample_of
from functions.router.targets.health import Condition
from tests.fixtures.router_app import INTENTS, VECTORS, target
from tests.functions.router.deciding.cases import case, request

CPU, GPU = Tier.CPU, Tier.GPU
CASCADE = Cascade(
    threshold=0.8, parameters={}, rows=500, kept=0.7, lost=0.0, bound=0.01, assurance=0.95,
    digest="d" * 64, disagreed=9,
)  # fmt: skip
CALIBRATED = Calibrated(digest="d" * 64, baseline=Baseline(kept=350, disagreed=9))
ROUTE = replace(
    INTENTS,
    targets={CPU: target(CPU), GPU: target(GPU, sample=0.25, shadow=0.05)},
    cascade=CASCADE,
)
ANSWERED = "0ld000000000"
TEXTS = ("one", "two", "three")
OUTPUTS = tuple({"label": "a", "score": score} for score in (0.9, 0.5, 0.8))
ANSWER = TierAnswer(outputs=OUTPUTS, version=ANSWERED, elapsed_ms=2.0)


def sampled(
    route: Route = ROUTE,
    predict: PredictRequest | None = None,
    outputs: tuple[dict[str, Any], ...] = OUTPUTS,
    drawn: tuple[float, ...] = (0.0,),
    **changes: Any,
) -> Sample | None:
    """Return the sample of an answer by the CPU tier, with the numbers that are drawn one after the other."""
    numbers: Iterator[float] = cycle(drawn)
    asked = replace(case(predict or request(*TEXTS), route), **changes)
    answer = TierAnswer(outputs=outputs, version=ANSWERED, elapsed_ms=2.0)
    return sample_of(asked, decide(asked), route.targets[CPU], answer, lambda: next(numbers))


def test_of_what_is_kept_a_share_is_sampled() -> None:
    assert sampled(drawn=(0.3, 0.2)) == Sample(
        model="support-intent",
        task=Task.TEXT_CLASSIFICATION,
        address="the-gpu",
        sleeps=False,
        version=ANSWERED,
        newest=ROUTE.targets[CPU].version,
        inputs=("three",),
        parameters={},
        outputs=(OUTPUTS[2],),
        kept=(True,),
        shadow=False,
        calibrated=CALIBRATED,
    )


def test_what_is_uncertain_is_never_a_sample_of_what_is_kept() -> None:
    found = sampled()
    assert found is not None
    assert found.inputs == ("one", "three")


def test_of_a_request_that_is_shadowed_every_input_is_compared() -> None:
    found = sampled(chance=0.04, drawn=(1.0,))
    assert found is not None
    assert (found.inputs, found.kept, found.shadow) == (TEXTS, (True, False, True), True)
    assert found.calibrated == CALIBRATED


@pytest.mark.parametrize(
    ("route", "predict"),
    [
        (replace(ROUTE, cascade=None), request(*TEXTS)),
        (replace(ROUTE, cascade=replace(CASCADE, off="other artefacts")), request(*TEXTS)),
        (replace(ROUTE, cascade=replace(CASCADE, parameters={"a": 1})), request(*TEXTS)),
        (ROUTE, request(*TEXTS, tier=CPU)),
        (ROUTE, request(*TEXTS, prefer=Prefer.CHEAP)),
    ],
    ids=["no cascade", "off", "another kind", "pinned", "cheap"],
)
def test_without_a_threshold_nothing_is_kept_but_shadows_go_on(
    route: Route, predict: PredictRequest
) -> None:
    assert sampled(route, predict) is None
    found = sampled(route, predict, chance=0.0)
    assert found is not None
    assert (found.kept, found.calibrated) == ((False,) * 3, None)


def test_an_answer_in_place_of_the_gpu_tier_is_not_kept_by_a_threshold() -> None:
    # The tier is ready again when the answer is there.
    asked = case(request(*TEXTS, prefer=Prefer.QUALITY), ROUTE, gpu=Condition.FAILING)
    plan, ready = decide(asked), replace(asked, states={})
    assert plan.degraded(ROUTE.targets[CPU])
    assert sample_of(ready, plan, ROUTE.targets[CPU], ANSWER, lambda: 0.0) is None


@pytest.mark.parametrize("condition", [c for c in Condition if c is not Condition.READY])
def test_a_sample_wakes_nothing_and_adds_nothing_to_a_tier_that_fails(condition: Condition) -> None:
    asked = replace(case(request(*TEXTS), ROUTE, gpu=condition), chance=0.0)
    assert sample_of(asked, decide(asked), ROUTE.targets[CPU], ANSWER, lambda: 0.0) is None


def test_nothing_is_sampled_that_the_gpu_tier_has_answered_or_does_not_take() -> None:
    asked = replace(case(request(*TEXTS), ROUTE), chance=0.0)
    assert sample_of(asked, decide(asked), ROUTE.targets[GPU], ANSWER, lambda: 0.0) is None
    small = replace(ROUTE, targets={CPU: target(CPU), GPU: target(GPU, sample=1, max_inputs=2)})
    assert sampled(small, chance=0.0) is None


def test_nothing_is_sampled_without_a_gpu_tier_or_answers_to_compare() -> None:
    vectors = ({"vector": [1.0]},)
    assert sampled(VECTORS, request("a"), vectors, chance=0.0) is None
    both = replace(VECTORS, targets={**VECTORS.targets, GPU: target(GPU, shadow=1.0)})
    assert sampled(both, request("a"), vectors, chance=0.0) is None


def test_answers_without_a_confidence_are_kept_by_no_threshold() -> None:
    several = ({"label": "a", "score": 0.9, "labels": []},) * 3
    assert sampled(outputs=several) is None


def test_a_ranking_is_one_answer() -> None:
    ranked = replace(ROUTE, task=Task.TEXT_RANKING)
    clear = tuple({"score": score} for score in (0.95, 0.1, 0.05))
    found = sampled(ranked, outputs=clear, drawn=(0.2, 1.0))
    assert found is not None
    assert (found.inputs, found.outputs, found.kept) == (TEXTS, clear, (True,))
    assert sampled(ranked, outputs=clear, drawn=(0.3, 0.0)) is None


def test_a_withdrawn_threshold_keeps_nothing() -> None:
    asked = case(request(*TEXTS), ROUTE)
    plan = decide(asked)
    late = replace(asked, withdrawn=True)
    assert sample_of(late, plan, ROUTE.targets[CPU], ANSWER, lambda: 0.0) is None


def test_texts_are_not_sampled_since_vllm_would_not_take_what_is_sent() -> None:
    route = replace(ROUTE, task=Task.TEXT_GENERATION)
    written = tuple({"generated_text": "a", "confidence": 0.9} for _ in TEXTS)
    assert sampled(route, outputs=written) is None
