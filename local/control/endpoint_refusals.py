"""Endpoints that SageMaker refuses to an account: its quota, and instances that AWS does not have."""

from typing import Any

from moto.sagemaker import models
from moto.sagemaker.exceptions import SagemakerClientError

from local.control.data_plane import data_plane


class ResourceLimitExceeded(SagemakerClientError):  # type: ignore[misc]
    """A quota of SageMaker's that does not suffice, in its words."""

    code = "ResourceLimitExceeded"


class InsufficientInstanceCapacity(SagemakerClientError):  # type: ignore[misc]
    """The failure of an endpoint for which AWS has no instance, which CloudFormation passes on.

    Its text is in https://github.com/aws/deep-learning-containers/pull/6673.
    """

    code = "InsufficientInstanceCapacity"


def extend() -> None:
    """Refuse endpoints that the account may not have, or that AWS has no instances for."""
    create = models.SageMakerModelBackend.create_endpoint

    def create_endpoint(
        self: Any, endpoint_name: str, endpoint_config_name: str, tags: list[dict[str, str]]
    ) -> Any:
        config = self.endpoint_configs.get(endpoint_config_name)
        for variant in config.production_variants if config else ():
            _check(self, variant)
        return create(self, endpoint_name, endpoint_config_name, tags)

    models.SageMakerModelBackend.create_endpoint = create_endpoint


def _check(backend: Any, variant: dict[str, Any]) -> None:
    limits, instance = data_plane().limits, variant["InstanceType"]
    wanted = int(variant["InitialInstanceCount"])
    used = sum(
        int(other["DesiredInstanceCount"])
        for endpoint in backend.endpoints.values()
        for other in endpoint.production_variants
        if other["InstanceType"] == instance
    )
    if limits.instances is not None and used + wanted > limits.instances:
        raise ResourceLimitExceeded(
            f"The account-level service limit '{instance} for endpoint usage' is {limits.instances} Instances, with "
            f"current utilization of {used} Instances and a request delta of {wanted} Instances. Please use AWS "
            "Service Quotas to request an increase for this quota. If AWS Service Quotas is not available, contact AWS "
            "support to request an increase for this quota."
        )
    if not limits.has_capacity:
        raise InsufficientInstanceCapacity(
            "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error."
        )
