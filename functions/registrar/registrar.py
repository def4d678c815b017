"""A CloudFormation custom resource: one row in the registry per deployed model version.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html
A new version has a new physical id, so CloudFormation deletes the old one's row once the new one stands.
"""

import json
import time
import urllib.request
from decimal import Decimal
from typing import Any

import boto3
from botocore.exceptions import ClientError

ATTEMPTS = 4


def handler(event: dict[str, Any], context: object) -> None:
    """Do what is asked and always answer, because CloudFormation waits an hour for one that does not."""
    physical_id = event.get("PhysicalResourceId") or event["LogicalResourceId"]
    try:
        physical_id = release(event)
        answer(event, physical_id, "SUCCESS", "")
    except Exception as error:
        answer(event, physical_id, "FAILED", f"{type(error).__name__}: {error}")
        raise


def release(event: dict[str, Any]) -> str:
    """Write or delete the row; gives its physical id, `model/tier#version`."""
    properties = event["ResourceProperties"]
    table = boto3.resource("dynamodb").Table(properties["Table"])
    if event["RequestType"] == "Delete":
        delete(table, event["PhysicalResourceId"])
        return str(event["PhysicalResourceId"])
    key = {
        "model": properties["Model"],
        "release": f"{properties['Tier']}#{properties['Version']}",
    }
    named = ("Tier", "Version", "Digest", "Precision", "Task", "Address")
    row = {**key, **{name.lower(): properties[name] for name in named}}
    row |= {"size": Decimal(properties["Size"]), "deployed_at": int(time.time())}
    table.put_item(Item=row)
    return f"{key['model']}/{key['release']}"


def delete(table: Any, physical_id: str) -> None:
    """Remove the row. One that was never written, or went with its table, is as good as removed."""
    model, _, found = physical_id.partition("/")
    if not found:
        return
    try:
        table.delete_item(Key={"model": model, "release": found})
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise


def answer(event: dict[str, Any], physical_id: str, status: str, reason: str) -> None:
    """Put the outcome where CloudFormation reads it; the network gets a few tries."""
    body = {
        "Status": status,
        "Reason": reason or "done",
        "PhysicalResourceId": physical_id,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    request = urllib.request.Request(
        event["ResponseURL"],
        data=json.dumps(body).encode(),
        # A presigned URL is signed for no content type at all.
        headers={"Content-Type": ""},
        method="PUT",
    )
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except OSError:
            if attempt == ATTEMPTS:
                raise
            time.sleep(attempt)
