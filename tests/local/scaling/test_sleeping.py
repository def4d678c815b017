"""A GPU tier in the local cloud sleeps, wakes and keeps its hours by the resources that its stack deploys."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from contracts.scaling.copies import START_S, WAKE_S
from local.containers import NO_CAPACITY
from tests.local.scaling.conftest import GpuCloud, template

NAME = "shop-intents-gpu-g6-xl"


def berlin(*parts: int) -> float:
    return datetime(*parts, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()  # type: ignore[arg-type,misc]


@pytest.fixture
def sleeper(gpu_cloud: GpuCloud) -> GpuCloud:
    """Return a cloud with a tier that may sleep, just deployed."""
    gpu_cloud.must_deploy(template("sleeper"))
    return gpu_cloud


def test_a_tier_is_deployed_awake_and_falls_asleep_when_nobody_calls(sleeper: GpuCloud) -> None:
    assert sleeper.copies(NAME) == (1, 1)
    assert sleeper.answers(NAME)
    sleeper.clock.now += 899
    assert sleeper.copies(NAME) == (1, 1)
    sleeper.clock.now += 20
    assert sleeper.copies(NAME) == (0, 0)


def test_a_sleeping_tier_refuses_in_sagemakers_words_and_wakes(sleeper: GpuCloud) -> None:
    sleeper.clock.now += 3600
    assert sleeper.call(NAME) == NO_CAPACITY
    sleeper.clock.now += WAKE_S - 1
    assert sleeper.copies(NAME) == (0, 0)
    sleeper.clock.now += 1
    assert sleeper.copies(NAME) == (1, 0)
    assert sleeper.call(NAME) == NO_CAPACITY
    sleeper.clock.now += START_S
    assert sleeper.answers(NAME)
    assert sleeper.copies(NAME) == (1, 1)


@pytest.mark.parametrize("kind", ["Alarm", "Step"])
def test_without_its_alarm_or_its_step_a_tier_that_sleeps_never_wakes(
    gpu_cloud: GpuCloud, kind: str
) -> None:
    resources = template("sleeper")
    (alarm,) = (r for r in resources.values() if r["Type"] == "AWS::CloudWatch::Alarm")
    if kind == "Alarm":
        alarm["Properties"]["Dimensions"][0]["Value"] = "another"
    else:
        alarm["Properties"]["AlarmActions"] = []
    gpu_cloud.must_deploy(resources)
    gpu_cloud.clock.now += 3600
    assert gpu_cloud.call(NAME) == NO_CAPACITY
    gpu_cloud.clock.now += 86_400
    assert gpu_cloud.call(NAME) == NO_CAPACITY


def test_hours_wake_a_tier_and_let_it_sleep(gpu_cloud: GpuCloud) -> None:
    # A Sunday.
    gpu_cloud.clock.now = berlin(2026, 11, 29, 12)
    gpu_cloud.must_deploy(template("sleeper-office"))
    for time, copies in (
        ((2026, 11, 30, 7, 59), 0),
        ((2026, 11, 30, 8, 20), 1),
        ((2026, 11, 30, 17, 59), 1),
        ((2026, 11, 30, 18, 20), 0),
        ((2026, 12, 1, 12), 1),
        ((2026, 12, 5, 12), 0),
    ):
        gpu_cloud.clock.now = berlin(*time)
        assert (time, gpu_cloud.copies(NAME)) == (time, (copies, copies))


def test_hours_can_be_changed_and_removed(gpu_cloud: GpuCloud) -> None:
    api = gpu_cloud.client.client("application-autoscaling")

    def schedules() -> list[str]:
        found = api.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"]
        return [action["Schedule"] for action in found]

    for tier, expected in (
        ("sleeper-office", [f"cron(0 {hour} ? * MON,TUE,WED,THU,FRI *)" for hour in (8, 18)]),
        ("sleeper-saturday", [f"cron(0 {hour} ? * SAT *)" for hour in (10, 11)]),
        ("sleeper", []),
    ):
        gpu_cloud.must_deploy(template(tier))
        assert schedules() == expected


def test_a_change_of_the_policy_leaves_the_alarm_that_names_it(sleeper: GpuCloud) -> None:
    sleeper.must_deploy(template("sleeper-policy"))
    sleeper.clock.now += 3600
    assert sleeper.call(NAME) == NO_CAPACITY
    sleeper.clock.now += WAKE_S + START_S
    assert sleeper.answers(NAME)


def test_a_step_that_is_not_modelled_is_refused(gpu_cloud: GpuCloud) -> None:
    resources = template("sleeper")
    for resource in resources.values():
        if step := resource["Properties"].get("StepScalingPolicyConfiguration"):
            step["AdjustmentType"] = "ChangeInCapacity"
    assert gpu_cloud.deploy(resources) == "ROLLBACK_COMPLETE"
    assert "the local cloud models the step" in gpu_cloud.reasons()


def test_a_schedule_that_is_not_modelled_is_refused(gpu_cloud: GpuCloud) -> None:
    resources = template("sleeper-office")
    for resource in resources.values():
        for action in resource["Properties"].get("ScheduledActions", ()):
            action["Schedule"] = "rate(1 day)"
    assert gpu_cloud.deploy(resources) == "ROLLBACK_COMPLETE"
    assert "the local cloud models schedules like" in gpu_cloud.reasons()
