"""A CloudFormation custom resource: one row in the registry per deployed model version that answers its probe.

A row is written once the version serves. A GPU container is in service only after its probe; a CPU function, which no
deployment would call otherwise, is called here. If it does not answer as when the model was built, the deployment fails
and CloudFormation restores the version before it.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html
A new version has a new physical id, so CloudFormation deletes the old one's row once the new one stands.
"""

import json
import time
import urllib.request
from decimal import Decimal
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

MAX_ATTEMPTS = 4
# The response to CloudFormation has to be sent within this function's own 60 s. A function's start may take 10 s, its
# answer 25 s; a throttled call, which costs nothing, is repeated.
PROBE_CALL = Config(read_timeout=45, retries={"mode": "standard", "total_max_attempts": 3})


class NotReady(Exception):
    """A function was deployed that does not answer its probe as when its model was built."""


def handler(event: dict[str, Any], context: object) -> None:
    """Handle one event and always respond, because CloudFormation waits an hour for a missing response."""
    # A Create event has no physical id yet.
    physical_id = event.get("PhysicalResourceId") or event["LogicalResourceId"]
    try:
        physical_id = release(event)
        respond(event, physical_id, "SUCCESS", "")
    except Exception as error:
        respond(event, physical_id, "FAILED", f"{type(error).__name__}: {error}")
        raise


def release(event: dict[str, Any]) -> str:
    """Write or delete the row; return its physical id, `model/tier#version`."""
    properties = event["ResourceProperties"]
    table = boto3.resource("dynamodb").Table(properties["Table"])
    if event["RequestType"] == "Delete":
        delete(table, event["PhysicalResourceId"])
        return str(event["PhysicalResourceId"])
    key = {"model": properties["Model"], "release": f"{properties['Tier']}#{properties['Version']}"}
    # A version with a row was probed when it was written. That it is deployed again may be CloudFormation restoring it,
    # which must not fail.
    if properties["Tier"] == "cpu" and "Item" not in table.get_item(Key=key):
        probe(properties["Address"], properties["Version"])
    named = ("Tier", "Version", "Digest", "Precision", "Task", "Address")
    row = {**key, **{name.lower(): properties[name] for name in named}}
    # CloudFormation sends every property as text; boto3 stores a Decimal as a number.
    row |= {"size": Decimal(properties["Size"]), "deployed_at": int(time.time())}
    table.put_item(Item=row)
    return f"{key['model']}/{key['release']}"


def probe(function: str, version: str) -> None:
    """Call a CPU function with the event of its handler's PROBE_EVENT; raise NotReady unless it is that version."""
    called = boto3.client("lambda", config=PROBE_CALL).invoke(
        FunctionName=function, Payload=json.dumps({"probe": True})
    )
    answer = json.loads(called["Payload"].read())
    if problem := answer.get("problem"):
        raise NotReady(f"{function}: {problem['code']}: {problem['detail']}")
    if "FunctionError" in called:
        raise NotReady(
            f"{function} fails when it starts: {answer.get('errorType')}: {answer.get('errorMessage')}; its log says "
            "more"
        )
    if answer.get("version") != version:
        raise NotReady(
            f"{function} serves version {answer.get('version')} instead of {version}; deploy it again"
        )


def delete(table: Any, physical_id: str) -> None:
    """Delete the row; one that was never written, or whose table is gone, counts as deleted."""
    # CloudFormation deletes a resource whose creation failed by the id it had then, which names no row.
    model, _, release = physical_id.partition("/")
    if not release:
        return
    try:
        table.delete_item(Key={"model": model, "release": release})
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise


def respond(event: dict[str, Any], physical_id: str, status: str, reason: str) -> None:
    """Put the outcome to CloudFormation's presigned URL, in a few attempts."""
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
        # The URL is signed without a content type, and urllib would send one.
        headers={"Content-Type": ""},
        method="PUT",
    )
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except OSError:
            if attempt == MAX_ATTEMPTS:
                raise
            time.sleep(attempt)
