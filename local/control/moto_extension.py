"""All extensions of moto, applied once per process."""

import functools
import json
from typing import Any

from local.control import (
    autoscaling,
    cloudformation,
    components,
    endpoint_refusals,
    function_permission,
    lambdas,
    sagemaker,
)
from local.control.domains import types as domain_types
from local.control.rest_apis import urls
from local.control.storage import checksums, model_data


@functools.cache
def extend() -> None:
    """Apply every extension; idempotent. moto's models are module globals, so they last until the process ends."""
    cloudformation.extend()
    lambdas.extend()
    sagemaker.extend()
    endpoint_refusals.extend()
    components.extend()
    autoscaling.extend()
    function_permission.extend()
    urls.extend()
    domain_types.extend()
    domain_types.keep_mapped()
    checksums.extend()
    model_data.extend()
    _complete_log_arns()
    _ignore_conditions()


def _complete_log_arns() -> None:
    """End a log group's ARN with `:*` in templates, as CloudFormation does: grants on its streams are made of it.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-loggroup.html
    """
    from moto.logs.models import LogGroup

    attribute = LogGroup.get_cfn_attribute
    LogGroup.get_cfn_attribute = lambda self, name: (
        f"{self.arn}:*" if name == "Arn" else attribute(self, name)
    )


def _ignore_conditions() -> None:
    """Drop statements with conditions, which moto does not evaluate: "deny without TLS" would deny everything here."""
    from moto.s3.models import FakeBucket

    allowed = FakeBucket.get_permission

    def get_permission(self: Any, action: str, resource: str) -> Any:
        # The policy itself stays as it was put: it is replaced for the time of the check.
        full = self.policy
        if not full:
            return allowed(self, action, resource)
        policy = json.loads(full)
        policy["Statement"] = [s for s in policy["Statement"] if not s.get("Condition")]
        try:
            self.policy = json.dumps(policy).encode() if policy["Statement"] else None
            return allowed(self, action, resource)
        finally:
            self.policy = full

    FakeBucket.get_permission = get_permission
