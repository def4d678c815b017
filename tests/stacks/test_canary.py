"""A canary is in the stacks of a model that asks for one, and in no other."""

import json
from collections.abc import Mapping

import pytest

from tests.fixtures.synthesis import Json, Synthesised, of_settings
from tests.stacks.mutants.mutation import CPU, ROUTER, SETTINGS, SNAPSHOT

FUNCTION = f"arn:aws:lambda:eu-central-1:123456789012:function:{CPU}"
WITHOUT = f"arn:aws:lambda:eu-central-1:123456789012:function:{SNAPSHOT}:live"


@pytest.fixture(scope="module")
def stacks() -> Synthesised:
    return of_settings(SETTINGS)


def allowed(stacks: Synthesised, stack: str, role: str) -> Mapping[str, list[str]]:
    """Return the resources of each action that a role may take."""
    found: dict[str, list[str]] = {}
    for name, policy in stacks.resources(stack, "AWS::IAM::Policy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            actions, on = statement["Action"], statement["Resource"]
            for action in actions if isinstance(actions, list) else [actions]:
                if name.startswith(role):
                    found.setdefault(action, []).extend(on if isinstance(on, list) else [on])
    return found


def test_codedeploy_moves_the_alias_of_its_own_function_and_nothing_else(
    stacks: Synthesised,
) -> None:
    assert allowed(stacks, CPU, "CanaryRole") == {
        "lambda:GetAlias": [FUNCTION, f"{FUNCTION}:live"],
        "lambda:UpdateAlias": [FUNCTION, f"{FUNCTION}:live"],
        "lambda:GetProvisionedConcurrencyConfig": [f"{FUNCTION}:live"],
        "cloudwatch:DescribeAlarms": ["*"],
    }
    group = stacks.only(CPU, "AWS::CodeDeploy::DeploymentGroup")["Properties"]
    assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent30Minutes"


@pytest.mark.parametrize("role", ["RouterRole", "ProberRole"])
def test_versions_are_invoked_by_number_where_there_is_a_canary(
    stacks: Synthesised, role: str
) -> None:
    invoked = allowed(stacks, ROUTER, role)["lambda:InvokeFunction"]
    assert [arn for arn in invoked if "-cpu:" in arn] == [f"{FUNCTION}:*", WITHOUT]


def test_the_version_is_probed_told_and_moved_to_in_this_order_and_released_last(
    stacks: Synthesised,
) -> None:
    resources: Json = stacks.templates[CPU]["Resources"]

    def one(kind: str, prefix: str = "") -> str:
        (name,) = (n for n, r in resources.items() if r["Type"] == kind and n.startswith(prefix))
        return name

    def waits(name: str) -> set[str]:
        direct = set(resources[name].get("DependsOn", []))
        return direct.union(*(waits(other) for other in direct))

    version, probe = one("AWS::Lambda::Version"), one("Custom::TurnoutProbe")
    canary = one("AWS::SSM::Parameter", "CanaryVersion")
    alias, release = one("AWS::Lambda::Alias"), one("AWS::SSM::Parameter", "Release")
    order = [version, probe, canary, alias, release]
    for before, after in zip(order, order[1:], strict=False):
        assert before in waits(after), (before, after)
    number = {"Fn::GetAtt": [version, "Version"]}
    for name in (probe, canary, release):
        assert json.dumps(number) in json.dumps(resources[name]["Properties"])


def test_a_model_without_a_canary_has_nothing_of_it(stacks: Synthesised) -> None:
    kinds = {resource["Type"] for resource in stacks.templates[SNAPSHOT]["Resources"].values()}
    assert {kind for kind in kinds if "CodeDeploy" in kind or "CloudWatch" in kind} == set()
    assert "UpdatePolicy" not in json.dumps(stacks.templates[SNAPSHOT])
    assert len(stacks.resources(SNAPSHOT, "AWS::SSM::Parameter")) == 1
