"""Fixes of moto's SageMaker: current instance types, endpoints of inference components, the components themselves."""

import json
from typing import Any

from moto.sagemaker import models
from moto.sagemaker.responses import SageMakerResponse

from local.control.data_plane import ACCOUNT

# The function that ours takes the place of.
VARIANTS = models.FakeEndpoint._process_production_variants
# moto has no inference components; by name, as they were created.
COMPONENTS: dict[str, dict[str, Any]] = {}


def extend() -> None:
    # moto's list of instance types ends before the g5 family.
    models.FakeEndpointConfig.validate_instance_type = lambda self, instance_type: None
    models.SageMakerModelBackend.validate_production_variants = _validate_variants
    models.FakeEndpoint.update_from_cloudformation_json = classmethod(_update_of_template)
    models.FakeEndpoint._process_production_variants = _with_instance_types
    # moto gives an endpoint of a template a name of its own.
    models.FakeEndpoint.cloudformation_name_type = staticmethod(lambda: "EndpointName")
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


def role_of(specification: dict[str, Any], account: str, region: str) -> str:
    """Return the role of the model that an inference component names."""
    backend = models.sagemaker_backends[account][region]
    return str(backend._models[specification["ModelName"]].execution_role_arn)


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


def _update_component(self: Any) -> Any:
    request = json.loads(self.body)
    component = _find(request)
    component.update(request)
    return 200, {}, json.dumps({"InferenceComponentArn": component["InferenceComponentArn"]})


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
    endpoint = self.sagemaker_backend.endpoints[request["EndpointName"]]
    _configure(self.sagemaker_backend, endpoint, request["EndpointConfigName"])
    return 200, {}, json.dumps({"EndpointArn": endpoint.arn})


def _update_of_template(
    cls: Any,
    original_resource: Any,
    new_resource_name: str,
    cloudformation_json: Any,
    account_id: str,
    region_name: str,
) -> Any:
    """Update an endpoint in place, as CloudFormation does; moto would delete it and make another."""
    backend = models.sagemaker_backends[account_id][region_name]
    properties = cloudformation_json["Properties"]
    _configure(backend, original_resource, properties["EndpointConfigName"])
    return original_resource


def _configure(backend: Any, endpoint: Any, name: str) -> None:
    after = backend.endpoint_configs[name].production_variants
    _check_instance_type(endpoint.production_variants, after)
    endpoint.endpoint_config_name = name
    endpoint.production_variants = endpoint._process_production_variants(after)


def _with_instance_types(self: Any, variants: Any) -> Any:
    """Return an endpoint's variants with their instance types, since moto deletes the configuration they came with."""
    types = [{"InstanceType": variant.get("InstanceType")} for variant in variants]
    return [{**one, **kept} for one, kept in zip(VARIANTS(self, variants), types, strict=True)]


def _check_instance_type(before: Any, after: Any) -> None:
    """Raise SageMaker's error where an endpoint of components is to be updated to another instance type.

    Its text is in https://github.com/aws-samples/sample-auto-extract-ai-ocr-app/pull/66.
    """
    types = [{variant["InstanceType"] for variant in variants} for variants in (before, after)]
    components = all("ModelName" not in variant for variant in after)
    if components and types[0] != types[1]:
        raise models.ValidationError(
            message="Cannot update endpoint with a different instance type for endpoints to which you plan to deploy "
            "Inference Components."
        )


OPERATIONS = {
    "create_inference_component": _create,
    "update_inference_component": _update_component,
    "describe_inference_component": _describe,
    "delete_inference_component": _delete,
    "list_inference_components": _list,
    "update_endpoint": _update_endpoint,
}
