"""Fixes of moto's SageMaker: current instance types, endpoints of components, and what AWS refuses of both."""

import json
from typing import Any

from moto.sagemaker import models
from moto.sagemaker.responses import SageMakerResponse

KEPT = ("InstanceType", "ManagedInstanceScaling")
# The function that ours takes the place of.
VARIANTS = models.FakeEndpoint._process_production_variants
# Regions that refuse an endpoint of no instances. https://github.com/stdapi-ai/stdapi.ai/issues/43
NO_ZERO = ("eu-west-3",)


def extend() -> None:
    # moto's list of instance types ends before the g5 family.
    models.FakeEndpointConfig.validate_instance_type = lambda self, instance_type: None
    models.SageMakerModelBackend.validate_production_variants = _validate_variants
    models.FakeEndpoint.update_from_cloudformation_json = classmethod(_update_of_template)
    models.FakeEndpoint._process_production_variants = _with_instances
    # moto gives an endpoint of a template a name of its own.
    models.FakeEndpoint.cloudformation_name_type = staticmethod(lambda: "EndpointName")
    SageMakerResponse.update_endpoint = _update_endpoint


def _validate_variants(self: Any, variants: Any) -> None:
    """Validate production variants; those of inference components name no model."""
    for variant in variants:
        managed = variant.get("ManagedInstanceScaling") or {}
        if self.region_name in NO_ZERO and int(managed.get("MinInstanceCount", 1)) == 0:
            raise models.ValidationError(
                message="Min instance count needs to be greater than 0 for enabled managed instance scaling"
            )
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


def _with_instances(self: Any, variants: Any) -> Any:
    """Return an endpoint's variants with their instances, since moto deletes the configuration they came with."""
    kept = [{key: one[key] for key in KEPT if key in one} for one in variants]
    return [{**one, **more} for one, more in zip(VARIANTS(self, variants), kept, strict=True)]


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
