"""Inference components, which moto lacks: created, updated, placed on instances, and scaled over time."""

import json
from dataclasses import dataclass
from typing import Any

from moto.sagemaker import models
from moto.sagemaker.responses import SageMakerResponse

from contracts.scaling.copies import Copies
from local.control import autoscaling
from local.control.data_plane import ACCOUNT, data_plane
from local.control.placement import Refused, check_place, check_update
from local.control.sagemaker import container_of


@dataclass(slots=True, kw_only=True)
class Component:
    """One inference component: the request that made it, what runs in each copy, and its copies."""

    request: dict[str, Any]
    running: dict[str, Any]
    region: str
    copies: Copies

    @property
    def name(self) -> str:
        return str(self.request["InferenceComponentName"])


# By name. A component outlives its endpoint, and keeps its name, until it is deleted itself: Hugging Face's skill for
# SageMaker (`deploy_ic.py`, on teardown) has seen it.
COMPONENTS: dict[str, Component] = {}


def extend() -> None:
    for operation, answer in OPERATIONS.items():
        setattr(SageMakerResponse, operation, answer)


def admits(name: str) -> bool:
    """Return true if a copy takes a request now; one that finds none is counted, and wakes a tier that can."""
    component = COMPONENTS.get(name)
    # The runtime says itself that there is no such component.
    return component is None or autoscaling.admits(
        component.name, component.region, component.copies
    )


def served(name: str, since: float, busy_s: float) -> None:
    """Count a request that a copy answered, for the metric of requests at once."""
    if component := COMPONENTS.get(name):
        autoscaling.served(component.copies, since, busy_s)


def lose(name: str, wake_s: float) -> None:
    """Take all copies of a component away, which has one again `wake_s` after that is wanted."""
    if component := COMPONENTS.get(name):
        data_plane().wake_s[name] = wake_s
        autoscaling.lose(name, component.region, component.copies)


def has_copy(name: str) -> bool:
    """Return true if a component has a copy in service, or if there is no such component."""
    component = COMPONENTS.get(name)
    return component is None or bool(
        autoscaling.looked_at(name, component.region, component.copies).in_service
    )


def restore(name: str) -> None:
    """Put a copy into service again, which wakes in its own time from now on."""
    data_plane().wake_s.pop(name, None)
    if component := COMPONENTS.get(name):
        autoscaling.leave(component.copies, max(component.copies.wanted, 1))


def _create(self: Any) -> Any:
    request = json.loads(self.body)
    name = request["InferenceComponentName"]
    if name in COMPONENTS:
        raise models.ValidationError(
            message=f"Cannot create already existing inference component '{name}'."
        )
    copies = int(request["RuntimeConfig"]["CopyCount"])
    if copies < 1:
        # https://github.com/stdapi-ai/stdapi.ai/issues/43
        raise models.ValidationError(
            message="Inference components copy count an integer larger than 0"
        )
    variant = _variant(self.sagemaker_backend, request)
    _or_invalid(check_place, variant, request["Specification"], copies)
    COMPONENTS[name] = Component(
        request={**request, "InferenceComponentArn": _arn(self, name)},
        running=_running(self, request["Specification"]),
        region=self.region,
        copies=autoscaling.fixed(copies),
    )
    return 200, {}, json.dumps({"InferenceComponentArn": _arn(self, name)})


def _update(self: Any) -> Any:
    request = json.loads(self.body)
    component = _find(request)
    before = component.request
    changed = {**before, **{key: request[key] for key in UPDATED if key in request}}
    copies = int(request.get("RuntimeConfig", {}).get("CopyCount", component.copies.wanted))
    variant = _variant(self.sagemaker_backend, before)
    specification = changed["Specification"]
    running = _running(self, specification)
    # A rollback comes back to a model of another name, since moto has deleted the one before: the copies stay.
    if running == component.running:
        _or_invalid(check_place, variant, specification, copies)
    else:
        here = data_plane()
        config = request.get("DeploymentConfig")
        _or_invalid(check_update, variant, specification, copies, config, here.readings)
    component.request, component.running = changed, running
    autoscaling.leave(component.copies, copies)
    return 200, {}, json.dumps({"InferenceComponentArn": before["InferenceComponentArn"]})


def _update_copies(self: Any) -> Any:
    request = json.loads(self.body)
    component = _find(request)
    copies = int(request["DesiredRuntimeConfig"]["CopyCount"])
    variant = _variant(self.sagemaker_backend, component.request)
    _or_invalid(check_place, variant, component.request["Specification"], copies)
    autoscaling.leave(component.copies, copies)
    return (
        200,
        {},
        json.dumps({"InferenceComponentArn": component.request["InferenceComponentArn"]}),
    )


def _describe(self: Any) -> Any:
    return 200, {}, json.dumps(_described(_find(json.loads(self.body))))


def _delete(self: Any) -> Any:
    COMPONENTS.pop(_find(json.loads(self.body)).name)
    return 200, {}, "{}"


def _list(self: Any) -> Any:
    listed = [_described(component) for component in COMPONENTS.values()]
    return 200, {}, json.dumps({"InferenceComponents": listed})


def _described(component: Component) -> dict[str, Any]:
    copies = autoscaling.looked_at(component.name, component.region, component.copies)
    endpoint = component.request["EndpointName"]
    return {
        **component.request,
        # Required members of the response, of which nothing here depends on the value.
        "CreationTime": 0,
        "LastModifiedTime": 0,
        "EndpointArn": f"arn:aws:sagemaker:{component.region}:{ACCOUNT}:endpoint/{endpoint}",
        "InferenceComponentStatus": "InService",
        "RuntimeConfig": {
            "DesiredCopyCount": copies.wanted,
            "CurrentCopyCount": copies.in_service,
        },
    }


def _arn(response: Any, name: str) -> str:
    account, region = response.current_account, response.region
    return f"arn:aws:sagemaker:{region}:{account}:inference-component/{name}"


def _running(response: Any, specification: dict[str, Any]) -> dict[str, Any]:
    """Return what a copy runs: the container of the model that is named, with what it requires."""
    container = container_of(specification, response.current_account, response.region)
    rest = {key: value for key, value in specification.items() if key != "ModelName"}
    return {**rest, "Container": container}


def _find(request: dict[str, Any]) -> Component:
    name = request["InferenceComponentName"]
    if name not in COMPONENTS:
        raise models.ValidationError(message=f"Could not find inference component '{name}'.")
    return COMPONENTS[name]


def _variant(backend: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Return the production variant that a component is placed on."""
    name = request["EndpointName"]
    if name not in backend.endpoints:
        raise models.ValidationError(message=f"Could not find endpoint '{name}'.")
    variant: dict[str, Any] = backend.endpoints[name].production_variants[0]
    return variant


def _or_invalid(check: Any, *arguments: Any) -> None:
    """Check, and raise SageMaker's error where it is refused."""
    try:
        check(*arguments)
    except Refused as error:
        raise models.ValidationError(message=str(error)) from error


UPDATED = ("Specification", "RuntimeConfig")
OPERATIONS = {
    "create_inference_component": _create,
    "describe_inference_component": _describe,
    "update_inference_component": _update,
    "update_inference_component_runtime_config": _update_copies,
    "delete_inference_component": _delete,
    "list_inference_components": _list,
}
