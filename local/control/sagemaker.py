"""Fixes of moto's SageMaker: current instance types, endpoints of inference components, the components themselves."""

import json
from typing import Any

from moto.sagemaker import models
from moto.sagemaker.responses import SageMakerResponse

from local.control.data_plane import ACCOUNT

# moto has no inference components; by name, as they were created.
COMPONENTS: dict[str, dict[str, Any]] = {}


def extend() -> None:
    # moto's list of instance types ends before the g5 family.
    models.FakeEndpointConfig.validate_instance_type = lambda self, instance_type: None
    models.SageMakerModelBackend.validate_production_variants = _validate_variants
    for operation, answer in OPERATIONS.items():
        setattr(SageMakerResponse, operation, answer)


def _validate_variants(self: Any, variants: Any) -> None:
    """Validate production variants; those of inference components name no model."""
    for variant in variants:
        name = variant.get("ModelName")
        if name is not None and name not in self._models:
            raise models.ValidationError(message=f"Could not find model '{name}'.")


def container_of(
    specification: dict[str, Any], account: str, region: str
) -> tuple[str, dict[str, str]]:
    """Return image and environment of the model that an inference component names."""
    backend = models.sagemaker_backends[account][region]
    container = backend._models[specification["ModelName"]].primary_container
    return container["Image"], dict(container.get("Environment") or {})


def _described(component: dict[str, Any], region: str) -> str:
    copies = int((component.get("RuntimeConfig") or {}).get("CopyCount", 1))
    endpoint = f"arn:aws:sagemaker:{region}:{ACCOUNT}:endpoint/{component['EndpointName']}"
    described = {
        **component,
        # Required members of the response, of which nothing here depends on the value.
        "CreationTime": 0,
        "LastModifiedTime": 0,
        "EndpointArn": endpoint,
        "RuntimeConfig": {"DesiredCopyCount": copies, "CurrentCopyCount": copies},
    }
    return json.dumps(described)


def _create(self: Any) -> Any:
    request = json.loads(self.body)
    name = request["InferenceComponentName"]
    if request["EndpointName"] not in self.sagemaker_backend.endpoints:
        raise models.ValidationError(
            message=f"Could not find endpoint '{request['EndpointName']}'."
        )
    arn = f"arn:aws:sagemaker:{self.region}:{self.current_account}:inference-component/{name}"
    COMPONENTS[name] = {
        **request,
        "InferenceComponentArn": arn,
        "InferenceComponentStatus": "InService",
    }
    return 200, {}, json.dumps({"InferenceComponentArn": arn})


def _describe(self: Any) -> Any:
    return 200, {}, _described(_find(json.loads(self.body)), self.region)


def _delete(self: Any) -> Any:
    COMPONENTS.pop(_find(json.loads(self.body))["InferenceComponentName"])
    return 200, {}, "{}"


def _list(self: Any) -> Any:
    listed = [json.loads(_described(component, self.region)) for component in COMPONENTS.values()]
    return 200, {}, json.dumps({"InferenceComponents": listed})


def _find(request: dict[str, Any]) -> dict[str, Any]:
    name = request["InferenceComponentName"]
    if name not in COMPONENTS:
        raise models.ValidationError(message=f"Could not find inference component '{name}'.")
    return COMPONENTS[name]


def _update_endpoint(self: Any) -> Any:
    request = json.loads(self.body)
    backend = self.sagemaker_backend
    endpoint = backend.endpoints[request["EndpointName"]]
    config = backend.endpoint_configs[request["EndpointConfigName"]]
    endpoint.endpoint_config_name = request["EndpointConfigName"]
    endpoint.production_variants = endpoint._process_production_variants(config.production_variants)
    return 200, {}, json.dumps({"EndpointArn": endpoint.arn})


OPERATIONS = {
    "create_inference_component": _create,
    "describe_inference_component": _describe,
    "delete_inference_component": _delete,
    "list_inference_components": _list,
    "update_endpoint": _update_endpoint,
}
