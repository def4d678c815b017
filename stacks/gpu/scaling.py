"""Copies of an inference component scaled by Application Auto Scaling: out under load, to none while nobody calls.

The roles are AWS's own service-linked ones, which it makes when a target is registered.
https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-service-linked-roles.html
"""

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct, IDependable

from contracts.scaling.awake import Awake
from contracts.scaling.copies import SCALE_OUT_COOLDOWN_S
from contracts.specs import GpuSpec
from contracts.tasks import Wake

DIMENSION = "sagemaker:inference-component:DesiredCopyCount"
METRIC = "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"
# A standard metric has a datapoint a minute; AWS's own example waits as long.
# https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-zero-instances.html
WAKE_PERIOD_S = 60


class CopyScaling(Construct):
    """Target, policies, schedule and alarm of one component; `name` is the component's.

    All of them name the component, which another instance type replaces: they belong into a scope of the same suffix.
    """

    def __init__(
        self, scope: Construct, name_in_scope: str, *, name: str, spec: GpuSpec, after: IDependable
    ) -> None:
        super().__init__(scope, name_in_scope)
        self.name, self.spec = name, spec
        self.resource = f"inference-component/{name}"
        self.target = self._add_target(after)
        self._add_tracking()
        if spec.min_instances == 0 and spec.wake is not Wake.NEVER:
            self._add_waking(self._add_step())

    def _add_target(self, after: IDependable) -> autoscaling.CfnScalableTarget:
        target = autoscaling.CfnScalableTarget(
            self,
            "Target",
            service_namespace="sagemaker",
            resource_id=self.resource,
            scalable_dimension=DIMENSION,
            min_capacity=self.spec.min_instances,
            max_capacity=self.spec.max_instances,
            scheduled_actions=_actions(self.spec.awake) if self.spec.awake else None,
        )
        target.node.add_dependency(after)
        return target

    def _add_policy(self, kind: str, **configuration: object) -> autoscaling.CfnScalingPolicy:
        policy = autoscaling.CfnScalingPolicy(
            self,
            kind,
            policy_name=f"{self.name}-{kind.lower()}",
            policy_type=f"{kind}Scaling",
            service_namespace="sagemaker",
            resource_id=self.resource,
            scalable_dimension=DIMENSION,
            **configuration,
        )
        policy.node.add_dependency(self.target)
        return policy

    def _add_tracking(self) -> None:
        """Keep the requests at once per copy near the target, down to the least number of copies."""
        policy = autoscaling.CfnScalingPolicy
        self._add_policy(
            "TargetTracking",
            target_tracking_scaling_policy_configuration=policy.TargetTrackingScalingPolicyConfigurationProperty(
                predefined_metric_specification=policy.PredefinedMetricSpecificationProperty(
                    predefined_metric_type=METRIC
                ),
                target_value=self.spec.requests_per_copy,
                scale_in_cooldown=self.spec.scale_in_cooldown_s,
                scale_out_cooldown=SCALE_OUT_COOLDOWN_S,
            ),
        )

    def _add_step(self) -> autoscaling.CfnScalingPolicy:
        """Add the step from none to one copy: target tracking cannot divide by zero copies."""
        policy = autoscaling.CfnScalingPolicy
        return self._add_policy(
            "Step",
            step_scaling_policy_configuration=policy.StepScalingPolicyConfigurationProperty(
                # AWS's example adds 1. The alarm lasts as long as requests come and no copy has started, which takes
                # minutes, so that each minute would add another one.
                adjustment_type="ExactCapacity",
                metric_aggregation_type="Maximum",
                cooldown=WAKE_PERIOD_S,
                step_adjustments=[
                    policy.StepAdjustmentProperty(
                        metric_interval_lower_bound=0, scaling_adjustment=1
                    )
                ],
            ),
        )

    def _add_waking(self, step: autoscaling.CfnScalingPolicy) -> None:
        """Add the alarm of requests that no copy could take; it has no name, so that a replacement meets no other."""
        cloudwatch.CfnAlarm(
            self,
            "Wake",
            alarm_description=f"Requests find no copy of {self.name}: it wakes",
            alarm_actions=[step.ref],
            namespace="AWS/SageMaker",
            metric_name="NoCapacityInvocationFailures",
            dimensions=[
                cloudwatch.CfnAlarm.DimensionProperty(
                    name="InferenceComponentName", value=self.name
                )
            ],
            statistic="Sum",
            period=WAKE_PERIOD_S,
            evaluation_periods=1,
            datapoints_to_alarm=1,
            threshold=1,
            # AWS's example has GreaterThanThreshold, by which one request alone wakes nothing.
            comparison_operator="GreaterThanOrEqualToThreshold",
            treat_missing_data="notBreaching",
        )


def _actions(awake: Awake) -> list[autoscaling.CfnScalableTarget.ScheduledActionProperty]:
    """Return the actions by which at least one copy runs in these hours, and none need be outside of them."""
    target = autoscaling.CfnScalableTarget
    # Only the minimum changes: a tier that is called in other hours wakes then as well.
    return [
        target.ScheduledActionProperty(
            scheduled_action_name=name,
            schedule=cron,
            timezone=awake.zone,
            scalable_target_action=target.ScalableTargetActionProperty(min_capacity=least),
        )
        for name, cron, least in (("wake", awake.wake_cron, 1), ("sleep", awake.sleep_cron, 0))
    ]


def add_scaling(
    stack: cdk.Stack, suffix: str, *, name: str, spec: GpuSpec, after: IDependable
) -> None:
    """Scale a component's copies, unless their number is fixed."""
    if spec.min_instances < spec.max_instances or spec.min_instances == 0:
        CopyScaling(stack, f"Scaling{suffix}", name=name, spec=spec, after=after)
