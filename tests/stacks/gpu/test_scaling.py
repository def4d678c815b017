"""The copies of a GPU tier in its template: scaled by load, put to sleep, replaced one by one."""

from pathlib import Path

import pytest

from contracts.limits import BACKEND_SLACK_S
from contracts.scaling.awake import parse_awake
from contracts.specs import GpuSpec
from contracts.tasks import Wake
from tests.fixtures.synthesis import GpuTier, Json, Synthesised, synthesise_gpu

G6 = "ml.g6.xlarge"
OFFICE = parse_awake("Mon-Fri 08:00-18:00 Europe/Berlin")
TIERS = {
    "fixed": GpuTier(spec=GpuSpec(instance=G6)),
    "sleeper": GpuTier(
        spec=GpuSpec(
            instance=G6,
            min_instances=0,
            max_instances=3,
            requests_per_copy=7,
            scale_in_cooldown_s=60,
            awake=OFFICE,
        )
    ),
    "single": GpuTier(spec=GpuSpec(instance=G6, min_instances=0)),
    "hours": GpuTier(spec=GpuSpec(instance=G6, min_instances=0, awake=OFFICE, wake=Wake.NEVER)),
    "pair": GpuTier(spec=GpuSpec(instance=G6, min_instances=2, max_instances=4, timeout_s=9)),
    "four": GpuTier(spec=GpuSpec(instance=G6, min_instances=4, max_instances=4)),
}
NAME = "shop-intents-gpu-g6-xl"
COMPONENT = f"inference-component/{NAME}"


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return synthesise_gpu(TIERS, Path(tmp_path_factory.mktemp("gpu")))


def policies(stacks: Synthesised, stack: str) -> dict[str, Json]:
    found = stacks.resources(stack, "AWS::ApplicationAutoScaling::ScalingPolicy").values()
    return {
        policy["Properties"]["PolicyType"].removesuffix("Scaling"): policy["Properties"]
        for policy in found
    }


def instances(stacks: Synthesised, stack: str) -> tuple[int, int, int]:
    """Return the instances that an endpoint begins with, and their least and largest number."""
    config = stacks.only(stack, "AWS::SageMaker::EndpointConfig")["Properties"]
    (variant,) = config["ProductionVariants"]
    managed = variant["ManagedInstanceScaling"]
    assert managed["Status"] == "ENABLED"
    return variant["InitialInstanceCount"], managed["MinInstanceCount"], managed["MaxInstanceCount"]


def test_one_instance_more_than_serve_may_run_while_copies_are_replaced(
    stacks: Synthesised,
) -> None:
    assert {name: instances(stacks, name) for name in TIERS} == {
        "fixed": (1, 1, 2),
        "sleeper": (1, 0, 4),
        "single": (1, 0, 2),
        "hours": (1, 0, 2),
        "pair": (2, 2, 5),
        "four": (4, 4, 5),
    }


def test_a_component_is_made_with_at_least_one_copy(stacks: Synthesised) -> None:
    kind = "AWS::SageMaker::InferenceComponent"
    copies = {name: stacks.only(name, kind)["Properties"]["RuntimeConfig"] for name in TIERS}
    assert {name: one["CopyCount"] for name, one in copies.items()} == {
        "fixed": 1,
        "sleeper": 1,
        "single": 1,
        "hours": 1,
        "pair": 2,
        "four": 4,
    }


@pytest.mark.parametrize("stack", ["fixed", "four"])
def test_a_fixed_number_of_copies_is_not_scaled(stacks: Synthesised, stack: str) -> None:
    kinds = {r["Type"].split("::")[1] for r in stacks.templates[stack]["Resources"].values()}
    assert "ApplicationAutoScaling" not in kinds


@pytest.mark.parametrize(("stack", "bounds"), [("sleeper", (0, 3)), ("pair", (2, 4))])
def test_copies_are_scaled_by_requests_at_once(
    stacks: Synthesised, stack: str, bounds: tuple[int, int]
) -> None:
    target = stacks.only(stack, "AWS::ApplicationAutoScaling::ScalableTarget")
    properties, spec = target["Properties"], TIERS[stack].spec
    assert (properties["MinCapacity"], properties["MaxCapacity"]) == bounds
    # A service-linked role, which Application Auto Scaling makes itself.
    assert "RoleARN" not in properties
    (component,) = stacks.resources(stack, "AWS::SageMaker::InferenceComponent")
    assert component in target["DependsOn"]
    policy = policies(stacks, stack)["TargetTracking"]
    named = ("ServiceNamespace", "ResourceId", "ScalableDimension")
    assert {key: policy[key] for key in named} == {key: properties[key] for key in named}
    assert properties["ResourceId"] == COMPONENT
    assert policy["TargetTrackingScalingPolicyConfiguration"] == {
        "PredefinedMetricSpecification": {
            "PredefinedMetricType": "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"
        },
        "TargetValue": spec.requests_per_copy,
        "ScaleInCooldown": spec.scale_in_cooldown_s,
        "ScaleOutCooldown": 300,
    }


@pytest.mark.parametrize("stack", ["sleeper", "single"])
def test_the_first_request_that_finds_no_copy_starts_exactly_one(
    stacks: Synthesised, stack: str
) -> None:
    step = policies(stacks, stack)["Step"]["StepScalingPolicyConfiguration"]
    assert step["AdjustmentType"] == "ExactCapacity"
    assert step["StepAdjustments"] == [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]
    alarm = stacks.only(stack, "AWS::CloudWatch::Alarm")["Properties"]
    (action,) = alarm["AlarmActions"]
    policy = stacks.templates[stack]["Resources"][action["Ref"]]
    assert policy["Properties"]["PolicyType"] == "StepScaling"
    assert (alarm["MetricName"], alarm["Statistic"]) == ("NoCapacityInvocationFailures", "Sum")
    assert alarm["Dimensions"] == [{"Name": "InferenceComponentName", "Value": NAME}]
    assert (alarm["ComparisonOperator"], alarm["Threshold"], alarm["Period"]) == (
        "GreaterThanOrEqualToThreshold",
        1,
        60,
    )
    assert "AlarmName" not in alarm


@pytest.mark.parametrize("stack", ["pair", "hours"])
def test_a_tier_that_never_sleeps_or_that_hours_alone_wake_has_no_alarm_for_it(
    stacks: Synthesised, stack: str
) -> None:
    assert list(policies(stacks, stack)) == ["TargetTracking"]
    metrics = [
        alarm["Properties"]["MetricName"]
        for alarm in stacks.resources(stack, "AWS::CloudWatch::Alarm").values()
    ]
    assert "NoCapacityInvocationFailures" not in metrics


def test_hours_raise_and_lower_the_least_number_of_copies(stacks: Synthesised) -> None:
    target = stacks.only("sleeper", "AWS::ApplicationAutoScaling::ScalableTarget")["Properties"]
    assert target["ScheduledActions"] == [
        {
            "ScheduledActionName": name,
            "Schedule": f"cron(0 {hour} ? * MON,TUE,WED,THU,FRI *)",
            "Timezone": "Europe/Berlin",
            "ScalableTargetAction": {"MinCapacity": least},
        }
        for name, hour, least in (("wake", 8, 1), ("sleep", 18, 0))
    ]
    single = stacks.only("single", "AWS::ApplicationAutoScaling::ScalableTarget")["Properties"]
    assert "ScheduledActions" not in single


@pytest.mark.parametrize("stack", ["fixed", "sleeper", "single"])
def test_a_single_copy_is_updated_without_a_policy_that_may_be_refused(
    stacks: Synthesised, stack: str
) -> None:
    component = stacks.only(stack, "AWS::SageMaker::InferenceComponent")["Properties"]
    assert "DeploymentConfig" not in component


@pytest.mark.parametrize("stack", ["pair", "four"])
def test_several_copies_are_replaced_one_by_one_and_taken_back_on_alarms(
    stacks: Synthesised, stack: str
) -> None:
    properties = stacks.only(stack, "AWS::SageMaker::InferenceComponent")["Properties"]
    config, copies = properties["DeploymentConfig"], properties["RuntimeConfig"]["CopyCount"]
    batch = config["RollingUpdatePolicy"]["MaximumBatchSize"]
    assert batch == {"Type": "COPY_COUNT", "Value": 1}
    assert 0.05 <= batch["Value"] / copies <= 0.5
    named = [alarm["AlarmName"]["Ref"] for alarm in config["AutoRollbackConfiguration"]["Alarms"]]
    alarms = stacks.resources(stack, "AWS::CloudWatch::Alarm")
    assert sorted(named) == sorted(alarms)
    errors, latency = (alarms[name]["Properties"] for name in named)
    assert (errors["MetricName"], errors["Threshold"]) == ("Invocation5XXErrors", 1)
    assert latency["MetricName"] == "ModelLatency"
    assert latency["Threshold"] == (TIERS[stack].spec.timeout_s + BACKEND_SLACK_S) * 1_000_000
    for alarm in (errors, latency):
        assert alarm["Dimensions"] == [
            {"Name": "EndpointName", "Value": NAME},
            {"Name": "VariantName", "Value": "main"},
        ]


def test_what_names_the_component_is_replaced_with_it(tmp_path: Path) -> None:
    spec = GpuSpec(instance="ml.g5.xlarge", min_instances=0, max_instances=3)
    other = synthesise_gpu({"sleeper": GpuTier(spec=spec)}, tmp_path)
    again = synthesise_gpu({"sleeper": TIERS["sleeper"]}, tmp_path / "again")
    for kind in ("ScalableTarget", "ScalingPolicy"):
        name = f"AWS::ApplicationAutoScaling::{kind}"
        before, after = again.resources("sleeper", name), other.resources("sleeper", name)
        assert len(before) == len(after) > 0
        assert before.keys().isdisjoint(after)
