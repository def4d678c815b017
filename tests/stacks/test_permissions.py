"""Who may do what: the roles of the templates, and the order of roles and what needs them."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.synthesis import SHOP, WORDS, Synthesised, build, inputs, shop, synthesise


@pytest.fixture(scope="module")
def stacks() -> Synthesised:
    return shop()


def statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    return list(policy["Properties"]["PolicyDocument"]["Statement"])


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_no_action_is_a_wildcard_and_five_resources_are(stacks: Synthesised) -> None:
    found = [s for policy in stacks.everywhere("AWS::IAM::Policy") for s in statements(policy)]
    assert [a for s in found for a in as_list(s["Action"]) if "*" in a] == []
    wide = {a for s in found if "*" in json.dumps(s["Resource"]) for a in as_list(s["Action"])}
    # Two have no resource to be narrowed to; the others are for a model's endpoints on any instance type, and for the
    # releases of this deployment.
    assert wide == {
        "cloudwatch:PutMetricData",
        "ecr:GetAuthorizationToken",
        "sagemaker:DescribeInferenceComponent",
        "sagemaker:InvokeEndpoint",
        "ssm:GetParameters",
    }
    assert stacks.everywhere("AWS::IAM::ManagedPolicy") == []
    assert [
        r for r in stacks.everywhere("AWS::IAM::Role") if "ManagedPolicyArns" in r["Properties"]
    ] == []


def allowed_to(stacks: Synthesised, function: str) -> dict[str, Any]:
    """Return the resources of each action that a function of the router's stack may take."""
    (policy,) = (
        policy
        for name, policy in stacks.resources("shop-router", "AWS::IAM::Policy").items()
        if name.startswith(f"{function}Role")
    )
    return {a: s["Resource"] for s in statements(policy) for a in as_list(s["Action"])}


RELEASES = "arn:aws:ssm:us-east-1:123456789012:parameter/turnout/shop/*"


def test_the_prober_may_read_releases_and_have_functions_answer_their_probes(
    stacks: Synthesised,
) -> None:
    allowed = allowed_to(stacks, "Prober")
    arn = "arn:aws:lambda:us-east-1:123456789012:function:shop-{}-cpu:live"
    assert allowed.pop("lambda:InvokeFunction") == [arn.format("intents"), arn.format("words")]
    assert allowed.pop("ssm:GetParameters") == RELEASES
    assert sorted(allowed) == ["logs:CreateLogStream", "logs:PutLogEvents"]


def test_the_router_may_ask_its_own_tiers_and_nothing_else(stacks: Synthesised) -> None:
    allowed = allowed_to(stacks, "Router")
    arn = "arn:aws:{}:us-east-1:123456789012:{}"
    assert allowed.pop("lambda:InvokeFunction") == [
        arn.format("lambda", "function:shop-intents-cpu:live"),
        arn.format("lambda", "function:shop-words-cpu:live"),
    ]
    assert allowed.pop("sagemaker:InvokeEndpoint") == [
        arn.format("sagemaker", "endpoint/shop-intents-gpu-*"),
        arn.format("sagemaker", "inference-component/shop-intents-gpu-*"),
    ]
    assert allowed.pop("ssm:GetParameters") == RELEASES
    states = {"dynamodb:BatchGetItem", "dynamodb:UpdateItem"}
    assert allowed.keys() - states == {"logs:CreateLogStream", "logs:PutLogEvents"}


def test_the_observer_may_read_copies_and_releases_and_write_rows(stacks: Synthesised) -> None:
    policy = stacks.only("shop-states", "AWS::IAM::Policy")
    allowed = {a: s["Resource"] for s in statements(policy) for a in as_list(s["Action"])}
    arn = "arn:aws:{}:us-east-1:123456789012:{}"
    component = arn.format("sagemaker", "inference-component/shop-intents-gpu-*")
    assert allowed.pop("sagemaker:DescribeInferenceComponent") == component
    assert allowed.pop("ssm:GetParameters") == RELEASES
    assert allowed.pop("dynamodb:PutItem") == arn.format("dynamodb", "table/shop-states")
    assert sorted(allowed) == ["logs:CreateLogStream", "logs:PutLogEvents"]


def test_the_observer_is_called_by_its_schedule_alone_each_minute(stacks: Synthesised) -> None:
    (rule,) = stacks.resources("shop-states", "AWS::Events::Rule")
    schedule = stacks.only("shop-states", "AWS::Events::Rule")["Properties"]
    assert (schedule["ScheduleExpression"], schedule["State"]) == ("rate(1 minute)", "ENABLED")
    permission = stacks.only("shop-states", "AWS::Lambda::Permission")["Properties"]
    assert permission["Principal"] == "events.amazonaws.com"
    assert permission["SourceArn"] == {"Fn::GetAtt": [rule, "Arn"]}
    (observed,) = stacks.folder.glob("asset.*/targets.json")
    target = {"address": "shop-intents-gpu-g6-xl", "release": "/turnout/shop/intents/gpu"}
    assert json.loads(observed.read_text("utf-8")) == {"table": "shop-states", "targets": [target]}


def test_only_a_deployment_with_a_gpu_tier_shares_states(
    stacks: Synthesised, tmp_path: Path
) -> None:
    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/shop-states"
    allowed = allowed_to(stacks, "Router")
    shared = ("dynamodb:BatchGetItem", "dynamodb:UpdateItem")
    assert [allowed[action] for action in shared] == [arn, arn]
    build(tmp_path / "models.out")
    cpus = replace(SHOP, models=(WORDS,))
    alone = synthesise(inputs(tmp_path, cpus), tmp_path / "cdk.out")
    assert sorted(alone.templates) == ["shop-router", "shop-words-cpu"]
    assert "dynamodb" not in json.dumps(alone.templates)
    (routes,) = alone.folder.glob("asset.*/routes.json")
    assert json.loads(routes.read_text("utf-8"))["states"] == ""


def test_a_service_assumes_roles_for_this_account_alone(stacks: Synthesised) -> None:
    trusted = [
        role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        for role in stacks.everywhere("AWS::IAM::Role")
    ]
    assert len(trusted) == 6
    for (statement,) in trusted:
        assert statement["Condition"] == {
            "StringEqualsIfExists": {"aws:SourceAccount": "123456789012"}
        }


def test_a_gpus_container_may_write_its_logs_and_metrics_and_call_nobody(
    stacks: Synthesised,
) -> None:
    stack = "shop-intents-gpu"
    logs = [
        set(as_list(s["Action"]))
        for s in statements(stacks.only(stack, "AWS::IAM::Policy"))
        if "logs:PutLogEvents" in s["Action"]
    ]
    names = ("CreateLogStream", "DescribeLogStreams", "PutLogEvents")
    assert logs == [{f"logs:{name}" for name in names}]
    for kind in ("Model", "EndpointConfig"):
        properties = stacks.only(stack, f"AWS::SageMaker::{kind}")["Properties"]
        assert properties["EnableNetworkIsolation"] is True


def test_a_model_function_may_write_its_log_and_nothing_else(stacks: Synthesised) -> None:
    policy = stacks.only("shop-intents-cpu", "AWS::IAM::Policy")
    (log,) = stacks.resources("shop-intents-cpu", "AWS::Logs::LogGroup")
    assert statements(policy) == [
        {
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Effect": "Allow",
            "Resource": {"Fn::GetAtt": [log, "Arn"]},
        }
    ]


def test_the_api_may_be_called_by_its_gateway_alone(stacks: Synthesised) -> None:
    permission = stacks.only("shop-router", "AWS::Lambda::Permission")["Properties"]
    (api,) = stacks.resources("shop-router", "AWS::ApiGatewayV2::Api")
    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert {"Ref": api} in permission["SourceArn"]["Fn::Join"][1]


def test_whatever_names_a_role_waits_for_that_roles_policies(stacks: Synthesised) -> None:
    """Otherwise a function starts, or SageMaker checks, before the role may do what it has to."""
    checked = 0
    for template in stacks.templates.values():
        resources = template["Resources"]
        for resource in resources.values():
            named = re.findall(
                r'"Fn::GetAtt": \["(\w+)", "Arn"\]', json.dumps(resource["Properties"])
            )
            roles = {name for name in named if resources[name]["Type"] == "AWS::IAM::Role"}
            policies = {
                name
                for name, other in resources.items()
                if other["Type"] == "AWS::IAM::Policy"
                and any(ref["Ref"] in roles for ref in other["Properties"]["Roles"])
            }
            assert policies <= set(resource.get("DependsOn", []))
            checked += len(policies)
    assert checked >= 6
