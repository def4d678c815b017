"""Resource types of a component's scaling: target with its schedule, policies, and the alarm that takes a step."""

from typing import Any

from local.control import autoscaling
from local.control.data_plane import data_plane
from local.control.resource_type import Made, Properties, Type, client, shaped
from local.metrics.alarms import checked

NAMED = ("ServiceNamespace", "ResourceId", "ScalableDimension")


def _place(made: Made) -> Properties:
    return {name: made.properties[name] for name in NAMED}


def _policy_key(made: Made) -> Properties:
    return {**_place(made), "PolicyName": made.properties["PolicyName"]}


def _api(made: Made) -> Any:
    return client("application-autoscaling", made.region, data_plane().endpoint_url)


def _delete_schedule(made: Made) -> None:
    api = _api(made)
    for action in api.describe_scheduled_actions(**_place(made))["ScheduledActions"]:
        api.delete_scheduled_action(
            **_place(made), ScheduledActionName=action["ScheduledActionName"]
        )


def _put_schedule(made: Made) -> None:
    """Have the actions of the template, and no others."""
    _delete_schedule(made)
    api = _api(made)
    model = api.meta.service_model.operation_model("PutScheduledAction")
    for action in made.properties.get("ScheduledActions") or ():
        # A schedule that is not modelled is refused now, and not when it would fire.
        autoscaling.hours_of(action["Schedule"], action.get("Timezone"))
        api.put_scheduled_action(**shaped(model.input_shape, {**_place(made), **action}))


SCALING_TYPES: tuple[Type, ...] = (
    Type(
        name="AWS::ApplicationAutoScaling::ScalableTarget",
        service="application-autoscaling",
        create="register_scalable_target",
        update="register_scalable_target",
        delete="deregister_scalable_target",
        ref=lambda made: "|".join(str(made.properties[name]) for name in reversed(NAMED)),
        key=_place,
        after=_put_schedule,
        before_delete=_delete_schedule,
    ),
    Type(
        name="AWS::ApplicationAutoScaling::ScalingPolicy",
        service="application-autoscaling",
        create="put_scaling_policy",
        update="put_scaling_policy",
        delete="delete_scaling_policy",
        prepare=autoscaling.check_policy,
        ref=lambda made: made.response["PolicyARN"],
        key=_policy_key,
        after=lambda made: autoscaling.keep_arn(
            made.region, _policy_key(made), made.response["PolicyARN"]
        ),
    ),
    Type(
        name="AWS::CloudWatch::Alarm",
        service="cloudwatch",
        create="put_metric_alarm",
        update="put_metric_alarm",
        delete="delete_alarms",
        name_property="AlarmName",
        prepare=checked,
        ref=lambda made: made.properties["AlarmName"],
        key=lambda made: {"AlarmNames": [made.properties["AlarmName"]]},
    ),
)
