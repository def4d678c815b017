"""A canary is in the stacks of a model that asks for one, and in no other."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures.synthesis import (
    INTENTS,
    SHOP,
    Json,
    Synthesised,
    build,
    inputs,
    of_settings,
    synthesise,
)
from tests.stacks.mutants.mutation import CPU, DEPLOYMENT, MODEL, ROUTER, SETTINGS, SNAPSHOT, WRITER

FUNCTION = f"arn:aws:lambda:eu-central-1:123456789012:function:{CPU}"
WITHOUT = {
    f"arn:aws:lambda:eu-central-1:123456789012:function:{name}:live" for name in (SNAPSHOT, WRITER)
}


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
    assert {arn for arn in invoked if "-cpu:" in arn} == {f"{FUNCTION}:*", *WITHOUT}


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


def test_a_canary_whose_answers_are_compared_is_watched_for_its_whole_length(
    stacks: Synthesised,
) -> None:
    alarms = stacks.resources(CPU, "AWS::CloudWatch::Alarm")
    watching = stacks.only(CPU, "AWS::CodeDeploy::DeploymentGroup")["Properties"]
    asked = [alarm["Name"]["Ref"] for alarm in watching["AlarmConfiguration"]["Alarms"]]
    assert asked == list(alarms)
    agreement = alarms["CanaryContradicted"]["Properties"]
    evidence, *counts = agreement["Metrics"]
    assert (evidence["ReturnData"], agreement["Threshold"]) == (True, 2.9957)
    named = {
        query["Id"]: {
            one["Name"]: one["Value"] for one in query["MetricStat"]["Metric"]["Dimensions"]
        }
        for query in counts
    }
    version = stacks.only(CPU, "Custom::TurnoutProbe")["Properties"]["Version"]
    for name, by in (
        ("contradicted", "canary"), ("asked", "canary"), ("before", "released"), ("asked_before", "released"),
    ):  # fmt: skip
        assert named[name] == {
            "deployment": DEPLOYMENT, "model": MODEL, "of": "all", "canary": version, "by": by,
        }  # fmt: skip
    assert {query["MetricStat"]["Period"] for query in counts} == {30 * 60}
    # The sampling function is told of it.
    (sampler,) = (
        one["Properties"]["Environment"]["Variables"]
        for one in stacks.resources(ROUTER, "AWS::Lambda::Function").values()
        if "TURNOUT_STATES" in one["Properties"].get("Environment", {}).get("Variables", {})
    )
    assert sampler["TURNOUT_CANARIES"] == MODEL


def test_where_no_answer_is_compared_errors_alone_are_watched(tmp_path: Path) -> None:
    build(tmp_path / "models.out")
    assert INTENTS.cpu is not None
    model = replace(INTENTS, cpu=replace(INTENTS.cpu, canary_minutes=10))
    found = synthesise(inputs(tmp_path, replace(SHOP, models=(model,))), tmp_path / "cdk.out")
    assert [*found.resources("shop-intents-cpu", "AWS::CloudWatch::Alarm")] == ["CanaryErrors"]
    assert "Sampler" not in json.dumps(found.templates["shop-router"])
