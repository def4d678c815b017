"""Custom resources: a function is invoked, and the document at its response URL is the result."""

import json
import uuid
from typing import Any

from moto.awslambda import models as lambda_models
from moto.core.common_models import CloudFormationModel

from local.control.data_plane import data_plane

ANSWERS = "/_local/custom-resource/"


class CustomFailed(Exception):
    """The function reported FAILED or did not respond; `made` is the resource that a failed creation leaves."""

    made: "CustomResource | None" = None


class CustomResource(CloudFormationModel):  # type: ignore[misc]
    """One custom resource with its function's response."""

    def __init__(
        self, properties: dict[str, Any], facts: dict[str, str], answer: dict[str, Any]
    ) -> None:
        self.properties, self.facts, self.answer = properties, facts, answer
        self.physical_resource_id = str(answer["PhysicalResourceId"])

    @staticmethod
    def cloudformation_type() -> str:
        return "Custom::"

    def get_cfn_attribute(self, attribute_name: str) -> Any:
        return (self.answer.get("Data") or {}).get(attribute_name)

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **facts: Any,
    ) -> "CustomResource":
        properties = cloudformation_json["Properties"]
        event = {
            "StackId": facts["StackId"],
            "LogicalResourceId": facts["LogicalId"],
            "ResourceType": facts["ResourceType"],
        }
        try:
            answer = invoke("Create", properties, event, account_id, region_name)
        except CustomFailed as error:
            error.made = cls(properties, event, {"PhysicalResourceId": facts["LogicalId"]})
            raise
        return cls(properties, event, answer)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: "CustomResource",
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> "CustomResource":
        old, properties = original_resource, cloudformation_json["Properties"]
        more = {
            "PhysicalResourceId": old.physical_resource_id,
            "OldResourceProperties": old.properties,
        }
        answer = invoke("Update", properties, {**old.facts, **more}, account_id, region_name)
        changed = cls(properties, old.facts, answer)
        # A new physical id is a replacement, after which CloudFormation deletes the old resource.
        if changed.physical_resource_id != old.physical_resource_id:
            old.delete(account_id, region_name)
        return changed

    def delete(self, account_id: str, region_name: str) -> None:
        facts = {**self.facts, "PhysicalResourceId": self.physical_resource_id}
        invoke("Delete", self.properties, facts, account_id, region_name)


def invoke(kind: str, properties: Any, facts: Any, account: str, region: str) -> dict[str, Any]:
    """Invoke the function and return its response; raise CustomFailed."""
    here = data_plane()
    token = uuid.uuid4().hex
    event = {
        "RequestType": kind,
        "RequestId": token,
        "ResponseURL": f"{here.endpoint_url}{ANSWERS}{token}",
        "ServiceToken": properties["ServiceToken"],
        # CloudFormation sends every value as text.
        "ResourceProperties": _texts(properties),
        **facts,
    }
    function = lambda_models.lambda_backends[account][region].get_function(
        properties["ServiceToken"]
    )
    done = here.functions.invoke(function, json.dumps(event).encode())
    # A function sends its document before it returns, so it is here by now or never.
    answer = here.answers.pop(token, None)
    if answer is None:
        raise CustomFailed(f"its function did not respond: {done.payload.decode(errors='replace')}")
    if answer.get("Status") != "SUCCESS":
        raise CustomFailed(f"its function responded FAILED: {answer.get('Reason')}")
    return answer


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value)
