"""Versions of functions in the local cloud: an alias names the new one, and the old one ends behind its requests."""

import threading
import time
from typing import Any

from tests.fixtures.local_cloud_client import LocalCloudClient, bucket

Json = dict[str, Any]


def resources(local_cloud: LocalCloudClient, name: str, key: str, handler: str) -> Json:
    """Return a function with a version of its own, which its alias names."""
    return {
        "F": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": name,
                "Runtime": "python3.13",
                "Handler": f"handlers.{handler}",
                "Timeout": 20,
                "Role": local_cloud.role(),
                "Code": {"S3Bucket": bucket(local_cloud), "S3Key": "handlers.zip"},
            },
        },
        f"V{key}": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "F"}}},
        "Live": {
            "Type": "AWS::Lambda::Alias",
            "Properties": {
                "FunctionName": {"Ref": "F"},
                "Name": "live",
                "FunctionVersion": {"Fn::GetAtt": [f"V{key}", "Version"]},
            },
        },
    }


def runs(local_cloud: LocalCloudClient, name: str) -> bool:
    return f"lambda {name}" in {process.name for process in local_cloud.cloud.processes()}


def test_an_update_of_a_functions_code_reaches_its_alias(local_cloud: LocalCloudClient) -> None:
    first, second = (resources(local_cloud, "f", *key) for key in (("1", "echo"), ("2", "fails")))
    assert local_cloud.deploy("code", first) == "CREATE_COMPLETE"
    assert local_cloud.invoke("f:live", 7)[0]["event"] == 7
    assert local_cloud.deploy("code", second) == "UPDATE_COMPLETE"
    # The version that nothing names any more is deleted, and its process ends.
    assert not runs(local_cloud, "f")
    assert local_cloud.invoke("f:live", 7)[1] == "Unhandled"
    assert runs(local_cloud, "f")
    local_cloud.delete("code")
    assert not runs(local_cloud, "f")


def test_a_version_that_is_deleted_answers_the_request_that_it_has(
    local_cloud: LocalCloudClient,
) -> None:
    first, second = (resources(local_cloud, "g", *key) for key in (("1", "slow"), ("2", "echo")))
    assert local_cloud.deploy("slow", first) == "CREATE_COMPLETE"
    answers: list[Any] = []

    def ask() -> None:
        answers.append(local_cloud.invoke("g:live", {"seconds": 1}))

    asking = threading.Thread(target=ask)
    asking.start()
    while not runs(local_cloud, "g"):
        time.sleep(0.01)
    assert local_cloud.deploy("slow", second) == "UPDATE_COMPLETE"
    asking.join()
    assert answers == [("done", None)]
    assert not runs(local_cloud, "g")
