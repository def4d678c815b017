"""The throttle that is derived from an account's concurrency bounds what runs at once, and what is set wins."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.settings import THROTTLE_KEYS
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec, Throttle
from contracts.tasks import Task
from local.gateway import Bucket
from stacks.limits.throttle import (
    ROUTER_S,
    bearable,
    long_texts_warning,
    longest_request,
    stage_throttle,
    throttle_warning,
)
from tests.fixtures.synthesis import INTENTS, SHOP, WORDS

DERIVED = replace(SHOP, throttle=Throttle())
WRITER = ModelSpec(
    name="writer",
    source=Path("unused"),
    task=Task.TEXT_GENERATION,
    eval=Path("unused"),
    cpu=CpuSpec(timeout_s=840),
    gpu=GpuSpec(instance="ml.g6.xlarge", timeout_s=470),
)


def most_at_once(concurrency: int, seconds: float) -> int:
    """Return how many requests of that many seconds run at once if callers never pause, by the gateway's own bucket."""
    limits = bearable(concurrency, seconds)
    bucket = Bucket(limits.rate, limits.burst)
    start, running, most = bucket.at, list[float](), 0
    step = min(seconds, 1 / limits.rate) / 5
    for tick in range(2_000):
        now = start + tick * step
        while bucket.take(now):
            running.append(now + seconds + ROUTER_S)
        running = [end for end in running if end > now]
        most = max(most, len(running))
    return most


@pytest.mark.parametrize("concurrency", [2, 3, 4, 6, 10, 11, 50, 400])
@pytest.mark.parametrize("seconds", [0.005, 0.1, 1.0, 20.0])
def test_no_more_requests_run_at_once_than_half_of_the_functions(
    concurrency: int, seconds: float
) -> None:
    most = most_at_once(concurrency, seconds)
    assert 1 <= most <= concurrency // 2


def test_a_new_account_lets_some_requests_through_and_a_large_one_many() -> None:
    new, large = bearable(10, 0.0881), bearable(1_000, 0.0881)
    assert (new.rate, new.burst) == (8, 3)
    assert (large.rate, large.burst) == (937, 250)
    # No stage may have more than API Gateway's own quotas.
    assert bearable(1_000_000, 0.001) == bearable(2_000_000, 0.001)
    # Of a slow generator there is less than one request a second.
    assert bearable(10, 20.0).rate == pytest.approx(0.1, rel=0.02)


def evidence(out: Path, name: str, unit: str, ms: dict[str, float]) -> None:
    candidates: list[dict[str, Any]] = [
        {"chosen": False, "ms": {"8": 9_000.0}},
        {"chosen": True, "ms": ms},
    ]
    path = out / name / "evidence/cpu.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"unit": unit, "candidates": candidates}), "utf-8")


def test_the_longest_request_is_the_longest_that_a_build_has_measured(tmp_path: Path) -> None:
    evidence(tmp_path, "intents", "row", {"8": 3.0, "256": 88.0})
    evidence(tmp_path, "words", "row", {"8": 2.0})
    assert longest_request(DERIVED, tmp_path) == pytest.approx(0.088)


def test_generated_text_counts_with_the_default_number_of_tokens(tmp_path: Path) -> None:
    evidence(tmp_path, "intents", "new token", {"8": 20.0, "256": 30.0})
    evidence(tmp_path, "words", "row", {"8": 2.0})
    assert longest_request(DERIVED, tmp_path) == pytest.approx(64 * 0.03)


def test_what_was_not_measured_takes_all_of_its_time(tmp_path: Path) -> None:
    assert INTENTS.cpu is not None
    assert WORDS.cpu is not None
    slowest = max(INTENTS.cpu.timeout_s, WORDS.cpu.timeout_s)
    assert longest_request(DERIVED, tmp_path) == slowest
    gpu_alone = replace(DERIVED, models=(replace(INTENTS, cpu=None),))
    assert longest_request(gpu_alone, tmp_path) == 0


def test_what_is_set_wins_and_is_warned_of_where_it_is_not_borne(tmp_path: Path) -> None:
    set_by_hand = stage_throttle(SHOP, tmp_path)
    assert (set_by_hand.rate, set_by_hand.burst) == (5, 9)
    warning = throttle_warning(SHOP, tmp_path, 10)
    assert "5 requests a second and 9 at once" in warning
    assert "10 functions at once bear 0.099 and 3" in warning
    assert throttle_warning(SHOP, tmp_path, 1_000) == ""
    half = replace(SHOP, throttle=Throttle(burst=2))
    assert stage_throttle(half, tmp_path).burst == 2
    assert stage_throttle(half, tmp_path).rate == stage_throttle(DERIVED, tmp_path).rate
    assert throttle_warning(DERIVED, tmp_path, 10) == throttle_warning(half, tmp_path, 10) == ""


def test_texts_of_minutes_are_warned_of_until_the_throttle_counts_on_them(tmp_path: Path) -> None:
    evidence(tmp_path, "writer", "new token", {"8": 30.0})
    long = Deployment(models=(WRITER,))
    # 64 tokens, where its longest text takes 840 s.
    assert stage_throttle(long, tmp_path).rate == 1
    warning = long_texts_warning(long, tmp_path)
    assert "writer may take 840 s" in warning
    assert "5 at once hold all 10 functions" in warning
    borne = bearable(10, 840)
    assert f"rate = {borne.rate:g}, burst = {borne.burst}" in warning
    # It can be set.
    assert THROTTLE_KEYS["rate"].accepts(borne.rate)
    counted = replace(long, throttle=Throttle(rate=borne.rate, burst=borne.burst))
    assert long_texts_warning(counted, tmp_path) == ""


def test_a_text_on_a_gpu_tier_alone_holds_the_router_s_function(tmp_path: Path) -> None:
    gpu = Deployment(models=(replace(WRITER, cpu=None),))
    assert "470 s, and the throttle counts on short ones: 10 at once" in long_texts_warning(
        gpu, tmp_path
    )


def test_of_models_within_the_time_of_the_http_api_nothing_is_long(tmp_path: Path) -> None:
    short = replace(WRITER, cpu=CpuSpec(timeout_s=25), gpu=None)
    for deployment in (DERIVED, Deployment(models=(short,))):
        assert long_texts_warning(deployment, tmp_path) == ""
