"""Permissions of functions: who else than a role may invoke them, by the ARN that is invoked.

moto keeps them with the version that an alias names, which is another one after each deployment.
"""

import uuid
from typing import Any

from moto.awslambda import models
from moto.core.common_models import CloudFormationModel

from local.control.data_plane import data_plane

# A property of a template, and the key of the request's context that it is compared with.
# https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
CONDITIONS = {
    "SourceArn": ("ArnLike", "aws:SourceArn"),
    "SourceAccount": ("StringEquals", "aws:SourceAccount"),
}


def extend() -> None:
    """Keep the permissions that are added by Lambda's API as well."""
    add, remove = models.LambdaBackend.add_permission, models.LambdaBackend.remove_permission

    def add_permission(self: Any, function_name: str, qualifier: str, raw: str) -> Any:
        statement = add(self, function_name, qualifier, raw)
        of_function = data_plane().access.function_policies.setdefault(statement["Resource"], {})
        of_function[statement["Sid"]] = statement
        return statement

    def remove_permission(self: Any, function_name: str, sid: str, revision: str = "") -> None:
        remove(self, function_name, sid, revision)
        for of_function in data_plane().access.function_policies.values():
            of_function.pop(sid, None)

    models.LambdaBackend.add_permission = add_permission
    models.LambdaBackend.remove_permission = remove_permission


class FunctionPermission(CloudFormationModel):  # type: ignore[misc]
    """One statement of the policy of a function, an alias or a version."""

    def __init__(self, properties: dict[str, Any], account: str, region: str) -> None:
        named = properties["FunctionName"]
        prefix = f"arn:aws:lambda:{region}:{account}:function:"
        self.function = named if named.startswith("arn:") else f"{prefix}{named}"
        self.physical_resource_id = uuid.uuid4().hex
        statement = _statement(properties, self.function)
        policies = data_plane().access.function_policies
        policies.setdefault(self.function, {})[self.physical_resource_id] = statement

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::Lambda::Permission"

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **_: Any,
    ) -> "FunctionPermission":
        return cls(cloudformation_json["Properties"], account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: "FunctionPermission",
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> "FunctionPermission":
        # Each of its properties replaces it, and the new one stands first.
        changed = cls(cloudformation_json["Properties"], account_id, region_name)
        original_resource.delete(account_id, region_name)
        return changed

    def delete(self, account_id: str, region_name: str) -> None:
        policy = data_plane().access.function_policies.get(self.function, {})
        policy.pop(self.physical_resource_id, None)


def _statement(properties: dict[str, Any], function: str) -> dict[str, Any]:
    principal = properties["Principal"]
    service = principal.endswith(".amazonaws.com")
    conditions: dict[str, dict[str, str]] = {}
    for name, (operator, key) in CONDITIONS.items():
        if name in properties:
            conditions.setdefault(operator, {})[key] = properties[name]
    return {
        "Effect": "Allow",
        "Principal": {"Service" if service else "AWS": principal},
        "Action": properties["Action"],
        "Resource": function,
        "Condition": conditions,
    }
