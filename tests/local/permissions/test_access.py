"""Roles in the local cloud: a function may do what its role's policies allow, and a service what it trusts."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.fixtures.local_cloud_client import LocalCloudClient, zipped

WORD = "arn:aws:ssm:us-east-1:123456789012:parameter/shop/word"
CODE = """
import boto3

def query(event, context):
    print("said something")
    try:
        found = boto3.client("ssm").get_parameters(Names=["/shop/word"])["Parameters"]
        return found[0]["Value"]
    except Exception as error:
        return str(error)
"""
Role = Callable[..., str]


@pytest.fixture(scope="module")
def role(local_cloud: LocalCloudClient) -> Role:
    """Return what makes a role with the statements of its policy."""

    def make(name: str, *statements: dict[str, Any], trusted: str = "lambda.amazonaws.com") -> str:
        api = local_cloud.client("iam")
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": trusted}}
        made = api.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
        api.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=document(*statements))
        return str(made["Role"]["Arn"])

    return make


@pytest.fixture(scope="module", autouse=True)
def word(local_cloud: LocalCloudClient) -> None:
    local_cloud.client("ssm").put_parameter(Name="/shop/word", Value="allowed", Type="String")


def function(local_cloud: LocalCloudClient, name: str, role: str) -> str:
    local_cloud.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role,
        Handler="handlers.query",
        Code={"ZipFile": zipped(CODE)},
        Timeout=20,
    )
    return name


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str, resource: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def test_a_function_may_do_what_its_role_allows_and_is_refused_in_the_words_of_aws(
    local_cloud: LocalCloudClient, role: Role
) -> None:
    arn = role("reader", allow("ssm:GetParameters", WORD), allow("logs:*"))
    name = function(local_cloud, "reader", arn)
    assert local_cloud.invoke(name) == ("allowed", None)
    assert "said something" in local_cloud.log(name)
    # From now on, as on AWS: no new environment is needed.
    local_cloud.client("iam").put_role_policy(
        RoleName="reader",
        PolicyName="all",
        PolicyDocument=document(allow("ssm:GetParameter", WORD)),
    )
    said, _ = local_cloud.invoke(name)
    assert "AccessDeniedException" in said
    assert f"User: {arn} is not authorized to perform: ssm:GetParameters on" in said
    assert f"resource: {WORD} because no identity-based policy allows" in said


def test_a_policy_that_is_attached_counts_and_a_deny_is_said(
    local_cloud: LocalCloudClient, role: Role
) -> None:
    deny = {"Effect": "Deny", "Action": "ssm:Get*", "Resource": "*"}
    arn = role("denied", deny)
    managed = local_cloud.client("iam").create_policy(
        PolicyName="everything", PolicyDocument=document(allow("*"))
    )["Policy"]["Arn"]
    local_cloud.client("iam").attach_role_policy(RoleName="denied", PolicyArn=managed)
    name = function(local_cloud, "denied", arn)
    assert "because of an explicit deny" in local_cloud.invoke(name)[0]
    local_cloud.client("iam").delete_role_policy(RoleName="denied", PolicyName="all")
    assert local_cloud.invoke(name) == ("allowed", None)


def test_a_function_whose_role_may_not_write_its_log_answers_and_has_none(
    local_cloud: LocalCloudClient, role: Role
) -> None:
    # The group alone: events are written into its streams.
    group = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/silent"
    arn = role("silent", allow("ssm:*"), allow("logs:*", group))
    name = function(local_cloud, "silent", arn)
    assert local_cloud.invoke(name) == ("allowed", None)
    assert not (local_cloud.cloud.state / "logs/silent.log").exists()
    refused = {one.action for one in local_cloud.cloud.access.made if not one.allowed}
    assert {"logs:CreateLogStream", "logs:PutLogEvents"} <= refused


def test_a_function_whose_role_does_not_trust_lambda_is_refused(
    local_cloud: LocalCloudClient, role: Role
) -> None:
    arn = role("other", allow("*"), trusted="sagemaker.amazonaws.com")
    with pytest.raises(local_cloud.client("lambda").exceptions.ClientError) as caught:
        function(local_cloud, "other", arn)
    assert "cannot be assumed by Lambda" in str(caught.value)
    names = [f["FunctionName"] for f in local_cloud.client("lambda").list_functions()["Functions"]]
    assert "other" not in names


def test_a_call_of_which_the_permission_is_not_known_is_refused(
    local_cloud: LocalCloudClient, role: Role
) -> None:
    code = 'import boto3\ndef query(event, context): return boto3.client("lambda").list_functions()'
    local_cloud.client("lambda").create_function(
        FunctionName="unknown",
        Runtime="python3.13",
        Role=role("unknown", allow("*")),
        Handler="handlers.query",
        Code={"ZipFile": zipped(code)},
        Timeout=20,
    )
    said, failed = local_cloud.invoke("unknown")
    assert failed == "Unhandled"
    assert "does not know which permission lambda GET /2015-03-31/functions" in said["errorMessage"]


def test_calls_of_others_are_the_deployers_and_all_are_recorded(
    local_cloud: LocalCloudClient,
) -> None:
    local_cloud.client("ssm").describe_parameters()
    made = local_cloud.cloud.access.made
    assert made[next(one for one in made if one.action == "ssm:DescribeParameters")] == 1
    assert {one.caller for one in made if one.action == "ssm:DescribeParameters"} == {
        "the deployer"
    }
