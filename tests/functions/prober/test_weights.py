"""The custom resource that looks for the marker of pushed weights, over moto's S3."""

import json
from typing import Any

import boto3
import pytest

from contracts.weights.pushed import marker_of
from functions.prober.prober import WEIGHTS, NotPushed, handler
from stacks.weights.access import MARKER
from tests.fixtures.fake_aws import put_release
from tests.fixtures.problems import assert_names
from tests.functions.prober.test_prober import Inbox, inbox, ssm

__all__ = ["inbox", "ssm"]

BUCKET, DIGEST = "shop-weights-123456789012-us-east-1", "ab" * 32
RELEASE = "/turnout/shop/chat/gpu"
PROPERTIES = {
    "ServiceToken": "arn",
    "Bucket": BUCKET,
    "Marker": marker_of(DIGEST),
    "Weights": DIGEST,
    "Model": "chat",
    "Version": "f00dfeed0000",
    "Release": RELEASE,
}


def event(inbox: Inbox, kind: str = "Create") -> dict[str, Any]:
    return inbox.event(kind, ResourceType=MARKER, ResourceProperties=PROPERTIES)


def mark(digest: str) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=marker_of(DIGEST), Body=json.dumps({"digest": digest}))


def test_the_stacks_and_the_function_have_the_same_name_for_it() -> None:
    assert WEIGHTS == MARKER


def test_weights_that_are_marked_are_there(ssm: Any, inbox: Inbox) -> None:
    mark(DIGEST)
    handler(event(inbox), None)
    assert [answer["Status"] for answer in inbox.answers] == ["SUCCESS"]


@pytest.mark.parametrize("bucket", [False, True])
def test_weights_that_were_not_pushed_fail_with_the_command(
    ssm: Any, inbox: Inbox, bucket: bool
) -> None:
    if bucket:
        boto3.client("s3").create_bucket(Bucket=BUCKET)
    with pytest.raises(NotPushed):
        handler(event(inbox), None)
    (answer,) = inbox.answers
    assert answer["Status"] == "FAILED"
    assert_names(answer["Reason"], (DIGEST[:12], f"s3://{BUCKET}", "`turnout push chat`"))


def test_a_marker_of_other_weights_is_none(ssm: Any, inbox: Inbox) -> None:
    mark("cd" * 32)
    with pytest.raises(NotPushed):
        handler(event(inbox), None)
    assert_names(inbox.answers[0]["Reason"], ("other weights", "`turnout push chat`"))


def test_a_version_that_was_released_is_restored_without_a_look(ssm: Any, inbox: Inbox) -> None:
    put_release(RELEASE, version=PROPERTIES["Version"])
    handler(event(inbox, "Update"), None)
    assert [answer["Status"] for answer in inbox.answers] == ["SUCCESS"]
