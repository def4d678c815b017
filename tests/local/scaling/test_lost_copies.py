"""A GPU tier whose copies a script of faults takes away: it is without one for as long as the script says."""

import pytest

from contracts.scaling.copies import START_S, WAKE_S
from local.containers import NO_CAPACITY
from local.control import components
from tests.local.scaling.conftest import GpuCloud, template

NAME = "shop-intents-gpu-g6-xl"
WITHIN_S = 60.0


def test_a_tier_that_may_sleep_wakes_so_long_after_a_call(gpu_cloud: GpuCloud) -> None:
    gpu_cloud.must_deploy(template("sleeper"))
    components.lose(NAME, WITHIN_S)
    gpu_cloud.clock.now += 100
    assert gpu_cloud.copies(NAME) == (0, 0)
    assert gpu_cloud.call(NAME) == NO_CAPACITY
    gpu_cloud.clock.now += WITHIN_S - 1
    assert gpu_cloud.copies(NAME) == (1, 0)
    assert gpu_cloud.call(NAME) == NO_CAPACITY
    gpu_cloud.clock.now += 1
    assert gpu_cloud.answers(NAME)


@pytest.mark.parametrize(("tier", "copies"), [("one", 1), ("one-max", 1), ("pair", 2)])
def test_a_tier_that_never_sleeps_gets_its_copies_by_itself(
    gpu_cloud: GpuCloud, tier: str, copies: int
) -> None:
    gpu_cloud.must_deploy(template(tier))
    components.lose(NAME, WITHIN_S)
    assert gpu_cloud.copies(NAME) == (copies, 0)
    assert gpu_cloud.call(NAME) == NO_CAPACITY
    assert not components.has_copy(NAME)
    gpu_cloud.clock.now += WITHIN_S
    assert gpu_cloud.answers(NAME)
    assert components.has_copy(NAME)


def test_a_tier_that_is_restored_has_a_copy_and_sleeps_in_its_own_time(gpu_cloud: GpuCloud) -> None:
    gpu_cloud.must_deploy(template("sleeper"))
    components.lose(NAME, WITHIN_S)
    components.restore(NAME)
    assert gpu_cloud.copies(NAME) == (1, 1)
    gpu_cloud.clock.now += 3600
    assert gpu_cloud.call(NAME) == NO_CAPACITY
    gpu_cloud.clock.now += WITHIN_S
    assert gpu_cloud.call(NAME) == NO_CAPACITY
    gpu_cloud.clock.now += WAKE_S + START_S
    assert gpu_cloud.answers(NAME)


def test_a_component_that_is_not_there_loses_nothing(gpu_cloud: GpuCloud) -> None:
    components.lose("nothing", WITHIN_S)
    assert components.has_copy("nothing")
    components.restore("nothing")
