"""Application Auto Scaling of inference components: their targets, policies, alarms and schedules take effect.

moto records them and does nothing. Time passes when a component is called or described, up to the data plane's clock.
"""

import math
import re
import threading
from dataclasses import replace
from enum import Enum
from typing import Any

from moto.applicationautoscaling import models, responses
from moto.cloudwatch.models import cloudwatch_backends

from contracts.scaling.awake import DAYS, Awake
from contracts.scaling.copies import START_S, WAKE_S, Copies, Policy
from local.control.data_plane import ACCOUNT, data_plane

DIMENSION = "sagemaker:inference-component:DesiredCopyCount"
METRIC = "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"
CRON = re.compile(r"cron\((\d+) (\d+) \? \* ([A-Z,]+) \*\)")
STEP = {"AdjustmentType": "ExactCapacity", "ScalingAdjustment": 1}
# Without a target nothing scales: as many copies stay as there are.
NOTHING = Policy(
    min_copies=0, max_copies=0, requests_per_copy=math.inf, scale_in_cooldown_s=0, wake_s=math.inf
)
_lock = threading.Lock()


def extend() -> None:
    """Let moto take the dimension of components, which its list of them lacks."""
    known = models.ScalableDimensionValueSet
    members = {one.name: one.value for one in known}
    extended = Enum(known.__name__, {**members, "SAGEMAKER_COMPONENT_COPY_COUNT": DIMENSION})  # type: ignore[misc]
    # `responses` has imported the name, so both are replaced.
    models.ScalableDimensionValueSet = responses.ScalableDimensionValueSet = extended


def fixed(copies: int) -> Copies:
    """Return copies that nothing scales yet."""
    return Copies(NOTHING, data_plane().clock(), copies)


def admits(name: str, region: str, copies: Copies) -> bool:
    """Return true if a copy is in service; a request that finds none is counted by the alarm that wakes it."""
    with _lock:
        _catch_up(name, region, copies)
        return copies.in_service > 0 or copies.arrive(copies.now, 0)


def served(copies: Copies, since: float, busy_s: float) -> None:
    with _lock:
        copies.arrive(max(since, copies.now), busy_s)


def leave(copies: Copies, count: int) -> None:
    """Leave so many copies in service, as an update does."""
    with _lock:
        copies.set(max(data_plane().clock(), copies.now), count)


def lose(name: str, region: str, copies: Copies) -> None:
    """Have no copy in service: one of a tier that may sleep is wanted when it is called, of another at once."""
    with _lock:
        _catch_up(name, region, copies)
        if copies.max_copies == 0:
            # Nothing scales it, and SageMaker keeps to the number that it was deployed with.
            copies.bound(copies.now, min_copies=copies.wanted, max_copies=copies.wanted)
            _catch_up(name, region, copies)
        copies.set(copies.now, 0)
        copies.bound(copies.now, min_copies=copies.min_copies, max_copies=copies.max_copies)


def looked_at(name: str, region: str, copies: Copies) -> Copies:
    """Return the copies as they are now."""
    with _lock:
        _catch_up(name, region, copies)
        return copies


def _catch_up(name: str, region: str, copies: Copies) -> None:
    now = max(data_plane().clock(), copies.now)
    backend = models.applicationautoscaling_backends[ACCOUNT][region]
    resource = f"inference-component/{name}"
    target = backend.targets.get(DIMENSION, {}).get(resource)
    policy = _policy(backend, region, name) if target else NOTHING
    copies.policy = _hastened(policy, data_plane().wake_s.get(name), sleeps=copies.min_copies == 0)
    if target:
        _bound(copies, copies.now, target)
        for at, action in _due(backend, resource, copies.now, now):
            target.update(action.get("MinCapacity"), action.get("MaxCapacity"), None)
            _bound(copies, at, target)
    copies.advance(now)


def _bound(copies: Copies, at: float, target: Any) -> None:
    bounds = {"min_copies": int(target.min_capacity), "max_copies": int(target.max_capacity)}
    if (copies.min_copies, copies.max_copies) != tuple(bounds.values()):
        copies.bound(at, **bounds)


def _policy(backend: Any, region: str, name: str) -> Policy:
    """Return the scaling that the deployed policies and alarms make; without one of them, that part does nothing."""
    of_component = [
        policy
        for policy in backend.policies.values()
        if policy.resource_id == f"inference-component/{name}"
    ]
    requests, cooldown, wake_s = math.inf, 0.0, math.inf
    for policy in of_component:
        if tracking := policy.target_tracking_scaling_policy_configuration:
            requests = float(tracking["TargetValue"])
            cooldown = float(tracking.get("ScaleInCooldown", 300))
        elif _wakes(region, name, policy.policy_arn):
            wake_s = WAKE_S
    return Policy(
        min_copies=0,
        max_copies=0,
        requests_per_copy=requests,
        scale_in_cooldown_s=cooldown,
        wake_s=wake_s,
    )


def _hastened(policy: Policy, within_s: float | None, *, sleeps: bool) -> Policy:
    """Return the policy of a component that has a copy again so long after one is called for, or wanted."""
    if within_s is None:
        return policy
    if not sleeps:
        return replace(policy, start_s=within_s)
    # The parts of a wake keep their proportion. Without an alarm nothing wakes the component.
    wake_s = policy.wake_s / (WAKE_S + START_S) * within_s
    return replace(policy, wake_s=wake_s, start_s=START_S / (WAKE_S + START_S) * within_s)


def _wakes(region: str, name: str, policy_arn: str) -> bool:
    """Return true if an alarm of the requests that found no copy takes the policy's step."""
    return any(
        policy_arn in alarm.alarm_actions
        and alarm.metric_name == "NoCapacityInvocationFailures"
        and {(d.name, d.value) for d in alarm.dimensions} == {("InferenceComponentName", name)}
        for alarm in cloudwatch_backends[ACCOUNT][region].alarms.values()
    )


def _due(
    backend: Any, resource: str, since: float, until: float
) -> list[tuple[float, dict[str, Any]]]:
    """Return the scheduled actions of a span of time, in order."""
    found = [
        (at, dict(action.scalable_target_action))
        for action in backend.scheduled_actions
        if action.resource_id == resource
        for at, begins in hours_of(action.schedule, action.timezone).changes(since, until)
        if begins
    ]
    return sorted(found, key=lambda one: one[0])


def hours_of(schedule: str, zone: str | None) -> Awake:
    """Return hours that begin when a schedule fires; raise ValueError for one that is not modelled."""
    found = CRON.fullmatch(schedule)
    days = found[3].split(",") if found else []
    names = [day.upper() for day in DAYS]
    if not found or not set(days) <= set(names):
        raise ValueError(
            f"the local cloud models schedules like cron(0 8 ? * MON,TUE *) alone, not {schedule}"
        )
    return Awake(
        days=tuple(names.index(day) for day in days),
        start=int(found[2]) * 60 + int(found[1]),
        end=24 * 60,
        zone=zone or "UTC",
    )


def keep_arn(region: str, named: dict[str, Any], arn: str) -> None:
    """Keep a policy's ARN when it is changed, which alarms name; moto gives it another one."""
    backend = models.applicationautoscaling_backends[ACCOUNT][region]
    for policy in backend.policies.values():
        if (policy.resource_id, policy.policy_name) == (named["ResourceId"], named["PolicyName"]):
            policy.policy_arn = arn


def check_policy(properties: dict[str, Any]) -> dict[str, Any]:
    """Return a policy's properties; raise ValueError for one whose effect is not modelled."""
    tracking = properties.get("TargetTrackingScalingPolicyConfiguration")
    step = properties.get("StepScalingPolicyConfiguration")
    if tracking:
        known = tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
        if known != METRIC:
            raise ValueError(f"the local cloud models target tracking on {METRIC} alone")
    if step:
        (adjustment,) = step["StepAdjustments"]
        taken = {"AdjustmentType": step["AdjustmentType"]}
        taken["ScalingAdjustment"] = int(adjustment["ScalingAdjustment"])
        if taken != STEP:
            raise ValueError(f"the local cloud models the step {STEP} alone, not {taken}")
    return properties
