"""Faults of the scaling of an inference component's copies."""

from stacks.rules.document import Document
from stacks.rules.endpoints import COMPONENT, TARGET
from stacks.rules.scaling import ALARM, POLICY
from tests.stacks.mutants.mutation import GPU, SLEEPER, Mutation, first, lint, model, ours, resource


def target_of_another_component(stack: Document) -> None:
    first(stack, TARGET)["ResourceId"] = "inference-component/another"


def dimension_misspelt(stack: Document) -> None:
    first(stack, TARGET)["ScalableDimension"] = "sagemaker:inference-component:CopyCount"


def sleeper_without_alarm(stack: Document) -> None:
    del stack.all[next(iter(stack.of(ALARM)))]


def alarm_that_wakes_nothing(stack: Document) -> None:
    first(stack, ALARM)["AlarmActions"] = []


def comparison_misspelt(stack: Document) -> None:
    first(stack, ALARM)["ComparisonOperator"] = "AtLeast"


def statistic_misspelt(stack: Document) -> None:
    first(stack, ALARM)["Statistic"] = "Total"


def metric_misspelt(stack: Document) -> None:
    for policy in stack.of(POLICY).values():
        if tracking := policy.get("TargetTrackingScalingPolicyConfiguration"):
            metric = tracking["PredefinedMetricSpecification"]
            metric["PredefinedMetricType"] = "SageMakerRequestsPerCopy"


def batch_of_every_copy(stack: Document) -> None:
    policy = first(stack, COMPONENT)["DeploymentConfig"]["RollingUpdatePolicy"]
    policy["MaximumBatchSize"]["Value"] = 2


def batch_type_misspelt(stack: Document) -> None:
    policy = first(stack, COMPONENT)["DeploymentConfig"]["RollingUpdatePolicy"]
    policy["MaximumBatchSize"]["Type"] = "COPIES"


def target_before_its_component(stack: Document) -> None:
    del resource(stack, TARGET)["DependsOn"]


MUTATIONS = (
    Mutation(
        spoil=target_of_another_component,
        stack=SLEEPER,
        account="the target is refused: there is no such component",
        source="https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html",
        caught_by=(ours("scaled_component"),),
    ),
    Mutation(
        spoil=dimension_misspelt,
        stack=SLEEPER,
        account="the target is refused when it is created",
        source="https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html",
        caught_by=(lint("E3030"), model("enum")),
    ),
    Mutation(
        spoil=sleeper_without_alarm,
        stack=SLEEPER,
        account="the tier sleeps once and never wakes",
        source="https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-zero-instances.html",
        caught_by=(ours("wakes_again"),),
    ),
    Mutation(
        spoil=alarm_that_wakes_nothing,
        stack=SLEEPER,
        account="the tier sleeps once and never wakes",
        source="https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-zero-instances.html",
        caught_by=(ours("wakes_again"),),
    ),
    Mutation(
        spoil=comparison_misspelt,
        stack=SLEEPER,
        account="the alarm is refused when it is created",
        source="https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html",
        caught_by=(lint("E3030"), model("enum")),
    ),
    Mutation(
        spoil=statistic_misspelt,
        stack=SLEEPER,
        account="the alarm is refused when it is created",
        source="https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html",
        caught_by=(lint("E3030"), model("enum")),
    ),
    Mutation(
        spoil=metric_misspelt,
        stack=SLEEPER,
        account="the policy is refused when it is created",
        source="https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScalingPolicy.html",
        caught_by=(lint("E3030"), model("enum")),
    ),
    Mutation(
        spoil=batch_of_every_copy,
        stack=GPU,
        account="the component is refused, or an update stops every copy at once",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_InferenceComponentRollingUpdatePolicy.html",
        caught_by=(ours("rolling_batch"),),
    ),
    Mutation(
        spoil=batch_type_misspelt,
        stack=GPU,
        account="the component is refused when it is created",
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_InferenceComponentRollingUpdatePolicy.html",
        caught_by=(lint("E3030"), model("enum")),
    ),
    Mutation(
        spoil=target_before_its_component,
        stack=SLEEPER,
        account="the target is refused: its component is not there yet",
        source="https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html",
        caught_by=(ours("target_waits"),),
    ),
)
