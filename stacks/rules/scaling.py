"""Rules for the scaling of an inference component's copies."""

import math
from collections.abc import Iterator

from stacks.rules.document import Document, as_list, number, text, within
from stacks.rules.endpoints import COMPONENT, TARGET
from stacks.rules.finding import Finding

POLICY, ALARM = "AWS::ApplicationAutoScaling::ScalingPolicy", "AWS::CloudWatch::Alarm"
WAKES_BY = "NoCapacityInvocationFailures"
# Of the number of copies, the least and the most that a step of an update may take.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_InferenceComponentRollingUpdatePolicy.html
BATCH = (0.05, 0.5)


def scaled_component(stack: Document) -> Iterator[Finding]:
    """Require that what is scaled is a component of the stack: another name scales nothing, or what is not ours."""
    components = {
        f"inference-component/{text(one.get('InferenceComponentName'))}"
        for one in stack.of(COMPONENT).values()
    }
    for kind in (TARGET, POLICY):
        for name, scaled in stack.of(kind).items():
            if text(scaled.get("ResourceId")) not in components:
                message = (
                    f"{text(scaled.get('ResourceId'))} is not in this stack; name its component"
                )
                yield Finding(resource=name, place="ResourceId", message=message)


def wakes_again(stack: Document) -> Iterator[Finding]:
    """Require hours, or an alarm, that wake a component without copies: target tracking alone never scales from none.

    https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-zero-instances.html
    """
    steps = {n for n, one in stack.of(POLICY).items() if one.get("PolicyType") == "StepScaling"}
    woken = any(
        alarm.get("MetricName") == WAKES_BY
        and any(stack.named(action, POLICY) in steps for action in alarm.get("AlarmActions", []))
        for alarm in stack.of(ALARM).values()
    )
    for name, target in stack.of(TARGET).items():
        hours = any(
            number(action.get("ScalableTargetAction", {}).get("MinCapacity")) > 0
            for action in target.get("ScheduledActions", [])
        )
        if number(target.get("MinCapacity")) == 0 and not woken and not hours:
            message = (
                f"it sleeps and never wakes; add hours, or a step policy and an alarm on {WAKES_BY}"
            )
            yield Finding(resource=name, place="MinCapacity", message=message)


def rolling_batch(stack: Document) -> Iterator[Finding]:
    """Require a batch of 5 to 50 % of the copies in a rolling update, which of one copy none is."""
    low, high = BATCH
    for name, component in stack.of(COMPONENT).items():
        policy = component.get("DeploymentConfig", {}).get("RollingUpdatePolicy", {})
        batch = policy.get("MaximumBatchSize", {})
        copies = number(component.get("RuntimeConfig", {}).get("CopyCount"))
        whole = {"COPY_COUNT": copies, "CAPACITY_PERCENT": 100}.get(str(batch.get("Type")))
        share = number(batch.get("Value")) / whole if whole else math.nan
        if share < low or share > high:
            message = (
                f"a batch of {share:.0%} of the copies; SageMaker takes 5 to 50 %, or no policy"
            )
            yield Finding(resource=name, place="DeploymentConfig", message=message)


def target_waits(stack: Document) -> Iterator[Finding]:
    """Require that a target waits for its component, and a policy for its target: neither can be made without."""
    for kind, needed in ((TARGET, COMPONENT), (POLICY, TARGET)):
        for name, scaled in stack.of(kind).items():
            waits = {*as_list(stack.all[name].get("DependsOn", []))} & stack.of(needed).keys()
            if not waits and not any(stack.named(value, needed) for value in within(scaled)):
                message = f"it does not wait for its {needed.rpartition('::')[2]}; add a dependency"
                yield Finding(resource=name, place="DependsOn", message=message)
