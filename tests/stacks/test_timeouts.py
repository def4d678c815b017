"""A request has the time for both starts, the run and the answer, or nothing is synthesised."""

from pathlib import Path

import pytest

from contracts.limits import CONNECT_TIMEOUT_S, INTEGRATION_TIMEOUT_S, ROUTER_MEMORY_MB, SPARE_S
from contracts.specs import CpuSpec, Deployment, ModelSpec
from contracts.tasks import Task
from images.made.record import ImagesRecord, Made, Start
from stacks.timeouts import Starts, timeout_problems
from tests.fixtures.problems import assert_problems

TEXTS = Task.TEXT_GENERATION
FUNCTION, ROUTER = "shop-intents-cpu", "shop-router"


def deployment(timeout_s: int, task: Task = Task.TEXT_CLASSIFICATION) -> Deployment:
    model = ModelSpec(
        name="intents",
        source="s",
        task=task,
        eval=Path(),
        cpu=CpuSpec(timeout_s=timeout_s),
    )
    return Deployment(name="shop", models=(model,))


def record(
    function_ms: list[float], router_ms: float | None = None, memory_mb: int = 1769
) -> ImagesRecord:
    """Return a record of both images with those starts."""
    made = {
        name: Made(digest=name, base="b", base_digest="", inputs={}, layers=())
        for name in (FUNCTION, ROUTER)
    }
    starts = [Start(digest=FUNCTION, memory_mb=memory_mb, ms=ms) for ms in function_ms]
    if router_ms is not None:
        starts.append(Start(digest=ROUTER, memory_mb=ROUTER_MEMORY_MB, ms=router_ms))
    return ImagesRecord(made=made, starts=tuple(starts))


def test_a_function_that_starts_slowly_is_refused_with_the_arithmetic() -> None:
    assert_problems(
        timeout_problems(deployment(20), record([7_000, 8_000, 60_000])),
        (
            "timeout_too_long",
            FUNCTION,
            "timeout_s is 20",
            "29 s, 2.0 s of the router's start, 1 s to connect, 8.0 s of the function's start and 1 s to answer",
            "leave 17.0 s",
            "lower timeout_s to 17",
            "memory_mb",
        ),
    )


def test_a_start_that_leaves_no_second_can_only_become_faster() -> None:
    (problem,) = timeout_problems(deployment(1), record([24_500]))
    assert "lower timeout_s" not in problem.message
    assert "raise memory_mb" in problem.message


def test_the_routers_own_start_counts_where_it_is_longer_than_the_usual_one() -> None:
    assert timeout_problems(deployment(20), record([5_000], router_ms=1_400)) == []
    (problem,) = timeout_problems(deployment(20), record([5_000], router_ms=2_500))
    assert "2.5 s of the router's start" in problem.message


def test_starts_of_other_images_or_with_other_memory_say_nothing() -> None:
    assert timeout_problems(deployment(25), ImagesRecord()) == []
    assert timeout_problems(deployment(25), record([9_000], memory_mb=3_538)) == []


def test_a_model_that_writes_has_the_time_of_the_front_of_streams() -> None:
    assert timeout_problems(deployment(25, TEXTS), record([25_000])) == []
    assert timeout_problems(deployment(840, TEXTS), record([56_000])) == []
    assert_problems(
        timeout_problems(deployment(840, TEXTS), record([60_000])),
        ("timeout_too_long", FUNCTION, "900 s", "leave 836.0 s", "lower timeout_s to 836"),
    )
    assert Starts(gateway_s=900, most_s=840).longest_s == 840


@pytest.mark.parametrize("timeout_s", range(1, 26))
def test_what_is_not_refused_fits_into_the_gateways_time_and_one_second_more_would_not(
    timeout_s: int,
) -> None:
    for init_ms in range(0, 30_000, 250):
        for router_ms in (None, 500, 2_000, 3_750):
            known = record([float(init_ms)], router_ms)
            starts_s = init_ms / 1e3 + max(router_ms or 0, 2_000) / 1e3
            whole = starts_s + CONNECT_TIMEOUT_S + timeout_s + SPARE_S
            refused = bool(timeout_problems(deployment(timeout_s), known))
            assert refused == (whole > INTEGRATION_TIMEOUT_S)
