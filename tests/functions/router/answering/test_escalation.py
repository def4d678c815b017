"""Uncertain inputs travel to the GPU tier, alone and in order; what comes back is merged, or the answer is degraded."""

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from contracts.http_errors import TierUnavailable
from contracts.prediction import Prefer
from contracts.routes import Cascade
from contracts.tasks import Task, Wake
from tests.fixtures.router_app import target
from tests.functions.router.answering.deployment import (
    CPU,
    GPU,
    ROUTE,
    WAKE_S,
    Deployment,
    TakenByAnother,
    deploy,
)
from tests.functions.router.answering.scripted import (
    ASLEEP,
    CLOSES,
    CRASHES,
    CUT,
    DOWN,
    HANGS,
    MISSING,
    THROTTLES,
    Step,
)

CASCADE = Cascade(
    threshold=0.8, parameters={}, rows=500, kept=0.7, lost=0.0, bound=0.01, assurance=0.95
)
CASCADED = replace(ROUTE, cascade=CASCADE)
TEXTS = ("one", "two", "three")


def outputs(label: str, *scores: float) -> Step:
    """Return the step of a tier that answers each input with a label and a score."""
    found = [{"label": label, "score": score} for score in scores]
    return Step(body={"outputs": found, "version": f"{label}-version", "elapsed_ms": 2})


def both_tiers(stack: ExitStack, *gpu: Step) -> Deployment:
    return deploy(stack, (outputs("small", 0.9, 0.5, 0.8),), gpu or (outputs("large", 0.4),))


def labels(both: Deployment, **options: Any) -> list[str]:
    answer = both.ask(**{"route": CASCADED, "inputs": TEXTS, **options})
    return [output["label"] for output in answer.answer.outputs]


@pytest.mark.slow
def test_only_what_is_uncertain_travels_and_comes_back_in_its_place(stack: ExitStack) -> None:
    both = both_tiers(stack)
    answer = both.ask(CASCADED, inputs=TEXTS, parameters={"top_k": 1})
    assert [(one["label"], one["tier"]) for one in answer.answer.outputs] == [
        ("small", CPU),
        ("large", GPU),
        # Of exactly the threshold, and kept.
        ("small", CPU),
    ]
    assert (answer.target.tier, answer.reason, answer.degraded) == (CPU, "escalated", False)
    assert answer.escalated == (1,)
    assert answer.second is not None
    assert answer.second.version == "large-version"
    (asked,) = both.gpu.seen
    assert (asked["inputs"], asked["parameters"]) == (["two"], {"top_k": 1})
    assert both.log == {"tier": CPU, "reason": "escalated", "escalated": 1}


def test_what_is_certain_is_answered_as_without_a_cascade(stack: ExitStack) -> None:
    both = deploy(stack, (outputs("small", 0.9, 0.95, 0.8),))
    answer = both.ask(CASCADED, inputs=TEXTS)
    plain = deploy(stack, (outputs("small", 0.9, 0.95, 0.8),)).ask(inputs=TEXTS)
    assert (answer, both.counts()) == (plain, (1, 0))


@pytest.mark.parametrize(
    ("route", "options"),
    [
        (ROUTE, {}),
        (replace(ROUTE, cascade=replace(CASCADE, off="its artefacts are other ones")), {}),
        (CASCADED, {"tier": CPU}),
        (CASCADED, {"version": "small-version"}),
        (CASCADED, {"prefer": Prefer.FAST}),
        (CASCADED, {"prefer": Prefer.CHEAP}),
        # Calibrated for other labels.
        (
            replace(CASCADED, cascade=replace(CASCADE, parameters={"candidate_labels": ["a"]})),
            {},
        ),
        # The GPU tier takes only one character more than none.
        (
            replace(CASCADED, targets={**ROUTE.targets, GPU: target(GPU, max_chars=1)}),
            {},
        ),
        # Measured as slower than the caller waits.
        (
            replace(
                CASCADED, targets={**ROUTE.targets, GPU: target(GPU, latency_ms=((8, 99_000.0),))}
            ),
            {},
        ),
    ],
    ids=[
        "no cascade",
        "off",
        "pinned tier",
        "pinned version",
        "fast",
        "cheap",
        "another kind",
        "over the limits",
        "too slow",
    ],
)
def test_some_requests_are_the_cpu_tiers_alone(
    stack: ExitStack, route: Any, options: dict[str, Any]
) -> None:
    if "version" in options:
        route = replace(route, targets={**ROUTE.targets, CPU: target(CPU, version="small-version")})
    both = both_tiers(stack)
    assert labels(both, route=route, **options) == ["small"] * 3
    assert both.counts() == (1, 0)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (ASLEEP, "gpu_waking"),
        (THROTTLES, "gpu_throttled"),
        (MISSING, "gpu_missing"),
        (CRASHES, "gpu_failing"),
        (DOWN, "gpu_failing"),
        (CLOSES, "gpu_failing"),
        (CUT, "gpu_failing"),
    ],
    ids=["asleep", "throttled", "missing", "crash", "down", "closes", "cut"],
)
def test_a_gpu_tier_that_fails_degrades_the_answer_and_says_why(
    stack: ExitStack, fault: Step, reason: str
) -> None:
    both = both_tiers(stack, fault)
    answer = both.ask(CASCADED, inputs=TEXTS)
    assert [one["label"] for one in answer.answer.outputs] == ["small"] * 3
    assert (answer.target.tier, answer.degraded, answer.escalated) == (CPU, True, ())
    assert answer.reason == both.log["reason"] == reason


def test_an_answer_that_may_not_be_degraded_says_when_the_gpu_is_back(stack: ExitStack) -> None:
    both = both_tiers(stack, ASLEEP)
    with pytest.raises(TierUnavailable, match="1 inputs are uncertain") as raised:
        both.ask(CASCADED, inputs=TEXTS, allow_degraded=False)
    assert WAKE_S - 5 < (raised.value.retry_after_s or 0) <= WAKE_S


@pytest.mark.parametrize("wake", [*Wake])
def test_an_escalation_wakes_a_tier_only_where_its_setting_says_so(
    stack: ExitStack, wake: Wake
) -> None:
    both = both_tiers(stack, ASLEEP)
    gpu = target(GPU, wake_s=WAKE_S, wake=wake)
    route = replace(CASCADED, targets={CPU: target(CPU), GPU: gpu})
    # The first one finds out that the tier sleeps.
    both.ask(route, inputs=TEXTS)
    calls = []
    for _ in range(3):
        both.counts()
        both.clock.ahead += 61
        both.ask(route, inputs=TEXTS)
        both.ask(route, inputs=TEXTS)
        calls.append(both.counts()[1])
    assert calls == ([1, 1, 1] if wake is Wake.ESCALATION else [0, 0, 0])


def test_a_trial_that_another_request_has_begun_is_left_to_it(stack: ExitStack) -> None:
    both = both_tiers(stack, ASLEEP)
    gpu = target(GPU, wake_s=WAKE_S, wake=Wake.ESCALATION)
    route = replace(CASCADED, targets={CPU: target(CPU), GPU: gpu})
    both.answering.attempts.states = TakenByAnother(both.clock)
    both.ask(route, inputs=TEXTS)
    both.counts()
    both.clock.ahead += 61
    answer = both.ask(route, inputs=TEXTS)
    assert (answer.reason, both.counts()) == ("gpu_waking", (1, 0))


def test_answers_without_a_confidence_are_kept(stack: ExitStack) -> None:
    several = {"label": "a", "score": 0.1, "labels": []}
    body = {"outputs": [several], "version": "small-version", "elapsed_ms": 2}
    both = deploy(stack, (Step(body=body),))
    assert (both.ask(CASCADED).reason, both.counts()) == ("fits_cpu", (1, 0))


@pytest.mark.slow
def test_the_answer_that_there_is_goes_out_by_the_deadline(stack: ExitStack) -> None:
    both = both_tiers(stack, outputs("large", 0.4), HANGS)
    # The clients are made, as in an instance that runs.
    both.ask(CASCADED, inputs=TEXTS)
    both.counts()
    both.clock.stop()
    answer = both.ask(CASCADED, inputs=TEXTS, within_s=3, deadline_ms=3000)
    assert (answer.reason, answer.degraded) == ("gpu_unanswered", True)
    # It was told the time that there is, less what the answer of the CPU tier takes to go out, and its own way back.
    assert [seen["deadline_ms"] for seen in both.gpu.seen] == pytest.approx([2850], abs=1)


def test_a_ranking_travels_as_a_whole(stack: ExitStack) -> None:
    ranked = replace(CASCADED, task=Task.TEXT_RANKING, cascade=replace(CASCADE, threshold=0.5))
    both = deploy(stack, (outputs("small", 0.5, 0.4, 0.2),), (outputs("large", 0.1, 0.9, 0.2),))
    assert labels(both, route=ranked) == ["large"] * 3
    both.cpu.steps = [outputs("small", 0.9, 0.3, 0.2)]
    assert labels(both, route=ranked) == ["small"] * 3
    (asked,) = both.gpu.seen
    assert asked["inputs"] == list(TEXTS)


WRITER = replace(
    ROUTE, task=Task.TEXT_GENERATION, cascade=replace(CASCADE, parameters={"max_new_tokens": 8})
)
SHORT = {"max_new_tokens": 8, "do_sample": False}


def written(name: str, *confidences: float | None, reason: str = "eos_token") -> Step:
    """Return the step of a tier that writes a text for each input, whose confidence it may not know."""
    found = [
        {"generated_text": name, "finish_reason": reason}
        | ({} if value is None else {"confidence": value})
        for value in confidences
    ]
    return Step(body={"outputs": found, "version": f"{name}-version", "elapsed_ms": 2})


def texts_of(both: Deployment, **options: Any) -> tuple[list[str], str]:
    asked = {"route": WRITER, "inputs": TEXTS, "parameters": SHORT, **options}
    answer = both.ask(**asked)
    return [output["generated_text"] for output in answer.answer.outputs], answer.reason


def test_texts_travel_by_the_confidence_of_their_tokens(stack: ExitStack) -> None:
    both = deploy(stack, (written("small", 0.9, 0.5, 0.8),), (written("large", None),))
    assert texts_of(both) == (["small", "large", "small"], "escalated")
    (asked,) = both.gpu.seen
    assert (asked["inputs"], asked["parameters"]) == (["two"], SHORT)


@pytest.mark.parametrize(
    ("confidences", "parameters"),
    [
        # Sampled, so that the tier gives no confidence.
        ((None, None, None), {"max_new_tokens": 8, "temperature": 0.7}),
        # Cut by the time, in which a second answer would not come either.
        ((0.9, 0.5, None), SHORT),
        # Longer texts than those of the rows.
        ((0.9, 0.5, 0.8), {"max_new_tokens": 9, "do_sample": False}),
    ],
)
def test_texts_of_another_kind_than_the_rows_stay(
    stack: ExitStack, confidences: tuple[float | None, ...], parameters: dict[str, Any]
) -> None:
    both = deploy(stack, (written("small", *confidences),), (written("large", None),))
    assert texts_of(both, parameters=parameters) == (["small"] * 3, "fits_cpu")
    assert both.counts() == (1, 0)


def test_a_text_that_the_gpu_tier_does_not_end_in_time_replaces_none(stack: ExitStack) -> None:
    steps = (written("small", 0.9, 0.5, 0.8),), (written("large", None, reason="time"),)
    both = deploy(stack, *steps)
    assert texts_of(both) == (["small"] * 3, "gpu_unanswered")
    both = deploy(stack, *steps)
    with pytest.raises(TierUnavailable, match="1 inputs are uncertain"):
        texts_of(both, allow_degraded=False)


def test_a_tier_that_is_known_to_write_too_slowly_is_not_asked(stack: ExitStack) -> None:
    slow = target(GPU, latency_ms=((8, 9_000.0),))
    route = replace(WRITER, targets={**ROUTE.targets, GPU: slow})
    both = deploy(stack, (written("small", 0.9, 0.5, 0.8),), (written("large", None),))
    assert texts_of(both, route=route) == (["small"] * 3, "fits_cpu")
