"""Decisions on models that write: the tokens that are asked for, and the time that these take."""

from dataclasses import replace
from typing import Any

import pytest

from contracts.prediction import Prefer
from contracts.routes import Route
from contracts.tasks import Server, Task, Tier
from functions.router.deciding.decision import decide
from functions.router.targets.health import Condition
from tests.fixtures.router_app import target
from tests.functions.router.deciding.cases import NOW, case, request

CPU, GPU = Tier.CPU, Tier.GPU
CHAT = {"messages": [{"role": "user", "content": "name an instrument"}]}


def writer(gpu_ms: float | None = None) -> Route:
    """Return a route whose CPU tier writes a token in 20 ms behind 8 tokens and in 40 ms behind 32."""
    timed = () if gpu_ms is None else ((8, gpu_ms),)
    return Route(
        model="writer",
        task=Task.TEXT_GENERATION,
        targets={
            CPU: target(CPU, latency_ms=((8, 20.0), (32, 40.0))),
            GPU: target(GPU, latency_ms=timed, server=Server.VLLM, wake_s=600),
        },
        chars_per_token=4.0,
    )


@pytest.mark.parametrize(
    ("characters", "tokens", "left_ms", "tier", "reason"),
    [
        (32, 50, 1_000, CPU, "fits_cpu"),
        (32, 51, 1_000, GPU, "in_time"),
        # A longer prompt takes longer, and makes each token slower.
        (80, 34, 1_000, GPU, "in_time"),
        (80, 33, 1_000, CPU, "fits_cpu"),
        (32, 51, 1_030, CPU, "fits_cpu"),
        (32, None, 1, CPU, "fits_cpu"),
        # The tier refuses it.
        (32, "many", 1_000, CPU, "fits_cpu"),
        (32, True, 1, CPU, "fits_cpu"),
    ],
)
def test_a_tier_that_would_cut_the_text_comes_behind_one_that_would_not(
    characters: int, tokens: Any, left_ms: int, tier: Tier, reason: str
) -> None:
    parameters = {} if tokens is None else {"max_new_tokens": tokens}
    # Names and texts of parameters count among the characters, numbers do not.
    asked = request("a" * (characters - len(str(tokens)) * isinstance(tokens, str)))
    asked = replace(asked, parameters=parameters, deadline=NOW + left_ms / 1e3)
    plan = decide(case(asked, writer()))
    assert (plan.primary.tier, plan.reason) == (tier, reason)


def test_each_input_takes_its_time() -> None:
    asked = replace(request("a" * 32, "b" * 32), parameters={"max_new_tokens": 26})
    plan = decide(case(replace(asked, deadline=NOW + 1), writer()))
    assert (plan.primary.tier, plan.reason) == (GPU, "in_time")


def test_a_chat_is_timed_like_a_text() -> None:
    asked = replace(request(), inputs=(CHAT,), parameters={"max_new_tokens": 51})
    plan = decide(case(replace(asked, deadline=NOW + 1), writer()))
    assert (plan.primary.tier, plan.reason) == (GPU, "in_time")


@pytest.mark.parametrize(
    ("options", "gpu_ms", "tier", "reason"),
    [
        ({"tier": CPU}, None, CPU, "pinned"),
        ({"prefer": Prefer.CHEAP}, None, CPU, "prefer_cheap"),
        ({"prefer": Prefer.QUALITY}, None, GPU, "prefer_quality"),
        ({"prefer": Prefer.FAST}, None, CPU, "prefer_fast"),
        ({"prefer": Prefer.FAST}, 5.0, GPU, "prefer_fast"),
        # Where both would cut the text, the cheapest does.
        ({}, 25.0, CPU, "fits_cpu"),
        ({}, 5.0, GPU, "in_time"),
    ],
)
def test_a_wish_of_the_request_comes_before_its_length(
    options: dict[str, Any], gpu_ms: float | None, tier: Tier, reason: str
) -> None:
    asked = replace(request("a" * 32, **options), parameters={"max_new_tokens": 100})
    plan = decide(case(replace(asked, deadline=NOW + 1), writer(gpu_ms)))
    assert (plan.primary.tier, plan.reason) == (tier, reason)


def test_a_text_that_is_cut_is_an_answer_while_the_other_tier_sleeps() -> None:
    asked = replace(request("a" * 32), parameters={"max_new_tokens": 100}, deadline=NOW + 1)
    plan = decide(case(asked, writer(), gpu=Condition.ASLEEP))
    assert (plan.primary.tier, plan.reason) == (CPU, "gpu_asleep")
    assert plan.degraded(plan.primary)
