"""Updates of an inference component's copies: one after the other, rolled back by alarms."""

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from contracts.limits import BACKEND_SLACK_S
from contracts.specs import GpuSpec

# One instance more than serve: each step of an update places new copies before it removes old ones.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_InferenceComponentRollingUpdatePolicy.html
SPARE_INSTANCES = 1
BAKE_S = 120


def add_update_policy(
    scope: Construct, suffix: str, *, name: str, variant: str, spec: GpuSpec
) -> sagemaker.CfnInferenceComponent.InferenceComponentDeploymentConfigProperty | None:
    """Return how copies are updated, with the alarms that roll an update back; None for a single copy.

    A batch "must be between 5% to 50% of the copy count" (the page above), which no batch of a single copy is: whether
    SageMaker refuses one, or rounds, is documented nowhere. Without a policy it is refused under neither reading, and
    a new version that does not become ready rolls the stack back. From 2 copies on, one at a time is within the range;
    the largest number of copies that `models.toml` takes is 20, of which one is 5 %.
    """
    if spec.min_instances < 2:
        return None
    component = sagemaker.CfnInferenceComponent
    alarms = _add_alarms(scope, suffix, name=name, variant=variant, spec=spec)
    return component.InferenceComponentDeploymentConfigProperty(
        rolling_update_policy=component.InferenceComponentRollingUpdatePolicyProperty(
            maximum_batch_size=component.InferenceComponentCapacitySizeProperty(
                type="COPY_COUNT", value=1
            ),
            wait_interval_in_seconds=BAKE_S,
        ),
        auto_rollback_configuration=component.AutoRollbackConfigurationProperty(
            alarms=[component.AlarmProperty(alarm_name=alarm.ref) for alarm in alarms]
        ),
    )


def _add_alarms(
    scope: Construct, suffix: str, *, name: str, variant: str, spec: GpuSpec
) -> list[cloudwatch.CfnAlarm]:
    """Add alarms of the endpoint, which has this component alone; they have no names of ours."""
    # The metric is in microseconds. A text may take all of the tier's timeout; for what takes longer the router no
    # longer waits.
    # https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
    slow = (spec.timeout_s + BACKEND_SLACK_S) * 1_000_000
    measured = (
        ("Errors", "Invocation5XXErrors", {"statistic": "Sum"}, 1),
        ("Latency", "ModelLatency", {"extended_statistic": "p90"}, slow),
    )
    return [
        cloudwatch.CfnAlarm(
            scope,
            f"{kind}{suffix}",
            alarm_description=f"{metric} of {name}: an update in progress is rolled back",
            namespace="AWS/SageMaker",
            metric_name=metric,
            dimensions=[
                cloudwatch.CfnAlarm.DimensionProperty(name="EndpointName", value=name),
                cloudwatch.CfnAlarm.DimensionProperty(name="VariantName", value=variant),
            ],
            period=60,
            evaluation_periods=1,
            threshold=threshold,
            comparison_operator="GreaterThanOrEqualToThreshold",
            treat_missing_data="notBreaching",
            **statistic,
        )
        for kind, metric, statistic, threshold in measured
    ]
