"""The refusals of AWS around a canary, and of an alias of two versions: the version before serves on."""

import json
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from tests.fixtures.synthesis import Json
from tests.local.canaries.conftest import Canary, first_version, resources
from tests.local.test_order import CPU


def policy(template: Json) -> Json:
    """Return the policy of CodeDeploy's role."""
    (found,) = (
        r["Properties"]["PolicyDocument"]
        for name, r in template.items()
        if r["Type"] == "AWS::IAM::Policy" and name.startswith("CanaryRole")
    )
    return dict(found)


@pytest.mark.parametrize(
    ("action", "service"),
    [("lambda:UpdateAlias", "AWSLambda"), ("cloudwatch:DescribeAlarms", "AmazonCloudWatch")],
)
def test_without_a_grant_the_alias_is_not_moved(canary: Canary, action: str, service: str) -> None:
    template = resources(second=True)
    for statement in policy(template)["Statement"]:
        if action in statement["Action"]:
            statement["Action"] = "lambda:GetProvisionedConcurrencyConfig"
    canary.deploy(template)
    assert canary.ended() == "UPDATE_ROLLBACK_COMPLETE"
    assert (
        f"does not give you permission to perform operations in the following AWS service: {service}."
        in (canary.reasons())
    )
    assert set(canary.ask(20)) == {first_version()}


def of_codedeploy(template: Json, kind: str) -> tuple[str, Json]:
    """Return the logical id and the properties of the canary's resource of a type."""
    ((name, resource),) = (
        (name, one)
        for name, one in template.items()
        if one["Type"] == kind and name.startswith("Canary")
    )
    return name, resource["Properties"]


def linear_steps(template: Json) -> Json:
    _, group = of_codedeploy(template, "AWS::CodeDeploy::DeploymentGroup")
    group["DeploymentConfigName"] = "CodeDeployDefault.LambdaLinear10PercentEvery1Minute"
    return template


def role_of_another(template: Json) -> Json:
    name, role = of_codedeploy(template, "AWS::IAM::Role")
    trusted = role["AssumeRolePolicyDocument"]["Statement"][0]
    trusted["Principal"] = {"Service": "lambda.amazonaws.com"}
    # Another role, since the group would not look at its own again.
    found: Json = json.loads(json.dumps(template).replace(name, f"{name}2"))
    return found


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (linear_steps, "models CodeDeploy's own canaries of Lambda functions alone"),
        (role_of_another, "does not have the permissions required to assume the role"),
    ],
)
def test_a_group_that_is_refused_leaves_the_version_before(
    canary: Canary, spoil: Callable[[Json], Json], reason: str
) -> None:
    canary.deploy(spoil(resources(second=True)))
    assert canary.ended() == "UPDATE_ROLLBACK_COMPLETE"
    assert reason in canary.reasons()
    assert canary.released() == (first_version(), first_version())


@pytest.mark.parametrize(
    ("primary", "weights", "reason"),
    [
        ("1", {"1": 0.1}, "Function version 1 is already included in routing configuration"),
        ("$LATEST", {"1": 0.1}, "LATEST is not supported for an alias pointing to more than 1"),
        ("1", {"1": 0.1, "2": 0.1}, "cannot be greater than 1"),
        ("1", {"2": 1.0}, "Map value must satisfy constraint"),
        ("1", {"live": 0.1}, "Map keys must satisfy constraint"),
        ("1", {"77": 0.1}, "Function not found"),
    ],
)
def test_weights_that_lambda_refuses_are_refused_in_its_words(
    canary: Canary, primary: str, weights: dict[str, float], reason: str
) -> None:
    api = canary.client.client("lambda")
    first = canary.alias()["FunctionVersion"]
    named = {primary: first, "1": first}
    routing = {
        "AdditionalVersionWeights": {
            first if version == "1" else version: w for version, w in weights.items()
        }
    }
    for call, name in ((api.update_alias, "live"), (api.create_alias, "other")):
        with pytest.raises(ClientError, match=reason.replace("version 1", f"version {first}")):
            call(
                FunctionName=CPU,
                Name=name,
                FunctionVersion=named.get(primary, first) if primary != "$LATEST" else primary,
                RoutingConfig=routing,
            )
    assert canary.weights() == {}
