"""CloudFormation custom resources: a deployed CPU function that answers its probe, and weights that were pushed.

No deployment would call a function otherwise: if it does not answer as when its model was built, the deployment fails
and CloudFormation restores the version before it. A GPU container is in service only after its probe.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html
"""

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# As the stacks have it: this function imports nothing of ours.
WEIGHTS = "Custom::TurnoutWeights"
MAX_ATTEMPTS = 4
# The response to CloudFormation has to be sent within this function's own 60 s. A function's start may take 10 s, its
# answer 25 s; a throttled call, which costs nothing, is repeated.
PROBE_CALL = Config(read_timeout=45, retries={"mode": "standard", "total_max_attempts": 3})


class NotPushed(Exception):
    """A model was deployed whose weights are not whole in the deployment's bucket."""


class NotReady(Exception):
    """A function was deployed that does not answer its probe as when its model was built."""


def handler(event: dict[str, Any], context: object) -> None:
    """Handle one event and always respond, because CloudFormation waits for a missing response."""
    # A Create event has no physical id yet. It never changes, so that CloudFormation has nothing to replace.
    physical_id = event.get("PhysicalResourceId") or event["LogicalResourceId"]
    try:
        # Nothing was made that could be deleted.
        if event["RequestType"] != "Delete":
            of_weights = event["ResourceType"] == WEIGHTS
            (check_weights if of_weights else check)(event["ResourceProperties"])
        respond(event, physical_id, "SUCCESS", "")
    except Exception as error:
        respond(event, physical_id, "FAILED", f"{type(error).__name__}: {error}")
        raise


def check_weights(properties: dict[str, Any]) -> None:
    """Raise NotPushed unless the marker is there that a push writes last, or this version was released already."""
    bucket, digest, model = properties["Bucket"], properties["Weights"], properties["Model"]
    if released_version(properties["Release"]) == properties["Version"]:
        return
    try:
        found = boto3.client("s3").get_object(Bucket=bucket, Key=properties["Marker"])
        marker = json.loads(found["Body"].read())
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise NotPushed(
            f"the weights {digest[:12]} of {model} are not in s3://{bucket} ({code}); run `turnout push {model}`"
        ) from error
    if marker["digest"] != digest:
        raise NotPushed(f"the marker of {model} is of other weights; run `turnout push {model}`")


def check(properties: dict[str, Any]) -> None:
    """Raise NotReady unless the function answers its probe, or this version of it was released already."""
    address, version = properties["Address"], properties["Version"]
    # A version that was released was probed. That it is deployed again may be CloudFormation restoring it, which must
    # not fail.
    if released_version(properties["Release"]) != version:
        probe(address, version)


def released_version(name: str) -> str:
    """Return the version in the release of that name; empty if there is none yet."""
    # Unlike GetParameter, it raises nothing for a name that does not exist.
    found = boto3.client("ssm").get_parameters(Names=[name])["Parameters"]
    return str(json.loads(found[0]["Value"])["version"]) if found else ""


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


def respond(
    event: dict[str, Any],
    physical_id: str,
    status: str,
    reason: str,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Put the outcome to CloudFormation's presigned URL, in a few attempts; raise OSError if none is taken."""
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
    attempt = 1
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except OSError:
            if attempt == MAX_ATTEMPTS:
                raise
        sleep(attempt)
        attempt += 1
