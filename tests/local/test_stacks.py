"""CloudFormation in the local cloud: in order, with events, taken back on failure, refused when unknown."""

from typing import Any

import pytest
from moto.cloudformation.exceptions import ValidationError

from local.control.stack_operations import ordered, references
from tests.fixtures.deployment import shop
from tests.fixtures.local_cloud import LocalCloudClient, bucket

Json = dict[str, Any]
NAMES = iter(f"stack{n}" for n in range(1000))


@pytest.fixture
def name() -> str:
    return next(NAMES)


@pytest.fixture(scope="module")
def custom(lab: LocalCloudClient) -> str:
    """Return the function behind the custom resources."""
    return lab.function("custom", "custom")


def table(name: str, **more: Any) -> Json:
    return {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        },
        **more,
    }


def ask(lab: LocalCloudClient, custom: str, **properties: Any) -> Json:
    arn = f"arn:aws:lambda:{lab.cloud.region}:123456789012:function:{custom}"
    return {"Type": "Custom::Thing", "Properties": {"ServiceToken": arn, **properties}}


def tables(lab: LocalCloudClient) -> set[str]:
    return set(lab.client("dynamodb").list_tables()["TableNames"])


def test_references_are_found_in_every_form() -> None:
    value = {
        "a": {"Ref": "One"},
        "b": [{"Fn::GetAtt": ["Two", "Arn"]}, {"Fn::GetAtt": "Three.Arn"}],
        "c": {"Fn::Sub": "${Four}/${Five.Arn}/${AWS::Region}"},
        "d": {"Fn::Sub": ["${Six}", {"x": {"Ref": "Seven"}}]},
    }
    assert set(references(value)) == {"One", "Two", "Three", "Four", "Five", "Six", "Seven"}


def test_resources_are_ordered_after_what_they_need() -> None:
    resources = {
        "Last": {"Properties": {"x": {"Fn::Sub": "${Middle.Arn}"}}},
        "Middle": {"DependsOn": "First", "Properties": {}},
        "First": {},
        "Other": {"DependsOn": ["Last"]},
    }
    assert ordered(resources) == ["First", "Middle", "Last", "Other"]


def test_a_stack_is_made_changed_and_removed_with_its_events(
    lab: LocalCloudClient, name: str
) -> None:
    assert lab.deploy(name, {"A": table(f"{name}-a")}, Name={"Ref": "A"}) == "CREATE_COMPLETE"
    assert lab.outputs(name) == {"Name": f"{name}-a"}
    assert lab.deploy(name, {"B": table(f"{name}-b")}) == "UPDATE_COMPLETE"
    assert {n for n in tables(lab) if n.startswith(name)} == {f"{name}-b"}
    changed = [event for event in lab.events(name) if event[0] in "AB"]
    assert changed == [
        ("A", "CREATE_IN_PROGRESS"),
        ("A", "CREATE_COMPLETE"),
        ("B", "CREATE_IN_PROGRESS"),
        ("B", "CREATE_COMPLETE"),
        ("A", "DELETE_IN_PROGRESS"),
        ("A", "DELETE_COMPLETE"),
    ]
    assert lab.delete(name) == "DELETE_COMPLETE"
    assert {n for n in tables(lab) if n.startswith(name)} == set()


@pytest.mark.parametrize("kind", ["AWS::EC2::Nonsense", "AWS::Bedrock::Agent", "Alexa::ASK::Skill"])
def test_a_type_that_is_not_modelled_is_refused_by_name(
    lab: LocalCloudClient, name: str, kind: str
) -> None:
    status = lab.deploy(
        name, {"A": table(f"{name}-a"), "B": {"Type": kind, "DependsOn": "A", "Properties": {}}}
    )
    assert status == "ROLLBACK_COMPLETE"
    api = lab.client("cloudformation")
    reason = api.describe_stacks(StackName=name)["Stacks"][0]["StackStatusReason"]
    assert f"the local cloud does not model {kind}" in reason
    assert {n for n in tables(lab) if n.startswith(name)} == set()


def test_a_route_that_the_gateway_does_not_match_is_refused(
    lab: LocalCloudClient, name: str
) -> None:
    resources = {
        "Api": {
            "Type": "AWS::ApiGatewayV2::Api",
            "Properties": {"Name": name, "ProtocolType": "HTTP"},
        },
        "Pets": {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": {"ApiId": {"Ref": "Api"}, "RouteKey": "GET /pets"},
        },
    }
    assert lab.deploy(name, resources) == "ROLLBACK_COMPLETE"
    api = lab.client("cloudformation")
    reason = api.describe_stacks(StackName=name)["Stacks"][0]["StackStatusReason"]
    assert "the local gateway has the route $default alone, not GET /pets" in reason


def test_every_type_of_our_stacks_is_modelled(lab: LocalCloudClient) -> None:
    from moto.cloudformation import parsing

    kinds = {r["Type"] for t in shop().templates.values() for r in t["Resources"].values()}
    assert len(kinds) >= 17
    assert [kind for kind in kinds if parsing.resource_class_from_type(kind) is None] == []
    with pytest.raises(ValidationError):
        parsing.resource_class_from_type("AWS::Some::Thing")


def test_a_stack_that_fails_is_taken_back_in_the_reverse_order_and_says_why(
    lab: LocalCloudClient, name: str, custom: str
) -> None:
    resources = {
        "A": table(f"{name}-a"),
        "B": table(f"{name}-b", DependsOn="A"),
        "C": {**ask(lab, custom, Fail="Create"), "DependsOn": "B"},
    }
    assert lab.deploy(name, resources) == "ROLLBACK_COMPLETE"
    events = lab.events(name)
    assert ("C", "CREATE_FAILED") in events
    assert [event[0] for event in events if event[1] == "DELETE_COMPLETE"] == ["B", "A"]
    assert {n for n in tables(lab) if n.startswith(name)} == set()
    api = lab.client("cloudformation")
    reasons = [
        e.get("ResourceStatusReason")
        for e in api.describe_stack_events(StackName=name)["StackEvents"]
    ]
    assert "its function responded FAILED: as asked" in reasons


def test_an_update_that_fails_leaves_the_stack_as_it_was(
    lab: LocalCloudClient, name: str, custom: str
) -> None:
    before = {"A": ask(lab, custom, Word="before")}
    assert lab.deploy(name, before, Said={"Fn::GetAtt": ["A", "Said"]}) == "CREATE_COMPLETE"
    after = {
        "New": table(f"{name}-new"),
        "A": {**ask(lab, custom, Word="after", Fail="Update"), "DependsOn": "New"},
    }
    assert lab.deploy(name, after) == "UPDATE_ROLLBACK_COMPLETE"
    assert lab.outputs(name) == {"Said": "Create before"}
    assert {n for n in tables(lab) if n.startswith(name)} == set()


def test_a_custom_resource_is_asked_to_create_to_update_and_to_delete(
    lab: LocalCloudClient, name: str, custom: str
) -> None:
    said = {"Said": {"Fn::GetAtt": ["A", "Said"]}, "Flag": {"Fn::GetAtt": ["A", "Flag"]}}
    lab.deploy(name, {"A": ask(lab, custom, Word="one", Flag=True, Id=f"{name}-1")}, **said)
    assert lab.outputs(name) == {"Said": "Create one", "Flag": "true"}  # every value comes as text
    lab.deploy(name, {"A": ask(lab, custom, Word="two", Id=f"{name}-2")}, Said=said["Said"])
    assert lab.outputs(name) == {"Said": "Update two"}
    lab.delete(name)
    asked = [
        line.split()[1:]
        for line in lab.log(custom).splitlines()
        if line.startswith("CUSTOM") and name in line
    ]
    assert asked == [["Update", f"{name}-1"], ["Delete", f"{name}-1"], ["Delete", f"{name}-2"]]


def test_a_custom_resource_that_never_answers_fails_at_once(
    lab: LocalCloudClient, name: str, custom: str
) -> None:
    assert lab.deploy(name, {"A": ask(lab, custom, Fail="Silence")}) == "ROLLBACK_COMPLETE"
    reason = lab.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0][
        "StackStatusReason"
    ]
    assert "its function did not respond" in reason


def test_an_update_of_a_functions_code_reaches_its_alias(lab: LocalCloudClient, name: str) -> None:
    def resources(key: str, handler: str) -> Json:
        return {
            "F": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "FunctionName": f"{name}-f",
                    "Runtime": "python3.13",
                    "Handler": f"handlers.{handler}",
                    "Role": lab.role(),
                    "Code": {"S3Bucket": bucket(lab), "S3Key": "handlers.zip"},
                },
            },
            f"V{key}": {
                "Type": "AWS::Lambda::Version",
                "Properties": {"FunctionName": {"Ref": "F"}},
            },
            "Live": {
                "Type": "AWS::Lambda::Alias",
                "Properties": {
                    "FunctionName": {"Ref": "F"},
                    "Name": "live",
                    "FunctionVersion": {"Fn::GetAtt": [f"V{key}", "Version"]},
                },
            },
        }

    assert lab.deploy(name, resources("1", "echo")) == "CREATE_COMPLETE"
    assert lab.invoke(f"{name}-f:live", 7)[0]["event"] == 7
    assert lab.deploy(name, resources("2", "fails")) == "UPDATE_COMPLETE"
    assert lab.invoke(f"{name}-f:live", 7)[1] == "Unhandled"
    running = {process.name for process in lab.cloud.processes()}
    lab.delete(name)
    assert f"lambda {name}-f" in running
    assert f"lambda {name}-f" not in {process.name for process in lab.cloud.processes()}


def test_a_change_set_that_is_not_there_has_the_code_that_the_cdk_looks_for(
    lab: LocalCloudClient, name: str
) -> None:
    api = lab.client("cloudformation")
    with pytest.raises(api.exceptions.ClientError) as caught:
        api.describe_change_set(StackName=name, ChangeSetName="none")
    assert caught.value.response["Error"]["Code"] == "ChangeSetNotFound"
