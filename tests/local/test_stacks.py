"""CloudFormation in the local cloud: in order, with events, taken back on failure, refused when unknown."""

from typing import Any

import pytest
from moto.cloudformation.exceptions import ValidationError

from local.control.stack_operations import ordered, references
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.synthesis import shop

Json = dict[str, Any]
NAMES = iter(f"stack{n}" for n in range(1000))


@pytest.fixture
def name() -> str:
    return next(NAMES)


@pytest.fixture(scope="module")
def custom(local_cloud: LocalCloudClient) -> str:
    """Return the function behind the custom resources."""
    return local_cloud.function("custom", "custom")


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


def ask(local_cloud: LocalCloudClient, custom: str, **properties: Any) -> Json:
    arn = f"arn:aws:lambda:{local_cloud.cloud.region}:123456789012:function:{custom}"
    return {"Type": "Custom::Thing", "Properties": {"ServiceToken": arn, **properties}}


def tables(local_cloud: LocalCloudClient) -> set[str]:
    return set(local_cloud.client("dynamodb").list_tables()["TableNames"])


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
    local_cloud: LocalCloudClient, name: str
) -> None:
    assert (
        local_cloud.deploy(name, {"A": table(f"{name}-a")}, Name={"Ref": "A"}) == "CREATE_COMPLETE"
    )
    assert local_cloud.outputs(name) == {"Name": f"{name}-a"}
    assert local_cloud.deploy(name, {"B": table(f"{name}-b")}) == "UPDATE_COMPLETE"
    assert {n for n in tables(local_cloud) if n.startswith(name)} == {f"{name}-b"}
    changed = [event for event in local_cloud.events(name) if event[0] in "AB"]
    assert changed == [
        ("A", "CREATE_IN_PROGRESS"),
        ("A", "CREATE_COMPLETE"),
        ("B", "CREATE_IN_PROGRESS"),
        ("B", "CREATE_COMPLETE"),
        ("A", "DELETE_IN_PROGRESS"),
        ("A", "DELETE_COMPLETE"),
    ]
    assert local_cloud.delete(name) == "DELETE_COMPLETE"
    assert {n for n in tables(local_cloud) if n.startswith(name)} == set()


@pytest.mark.parametrize("kind", ["AWS::EC2::Nonsense", "AWS::Bedrock::Agent", "Alexa::ASK::Skill"])
def test_a_type_that_is_not_modelled_is_refused_by_name(
    local_cloud: LocalCloudClient, name: str, kind: str
) -> None:
    status = local_cloud.deploy(
        name, {"A": table(f"{name}-a"), "B": {"Type": kind, "DependsOn": "A", "Properties": {}}}
    )
    assert status == "ROLLBACK_COMPLETE"
    api = local_cloud.client("cloudformation")
    reason = api.describe_stacks(StackName=name)["Stacks"][0]["StackStatusReason"]
    assert f"the local cloud does not model {kind}" in reason
    assert {n for n in tables(local_cloud) if n.startswith(name)} == set()


def test_a_route_that_the_gateway_does_not_match_is_refused(
    local_cloud: LocalCloudClient, name: str
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
    assert local_cloud.deploy(name, resources) == "ROLLBACK_COMPLETE"
    api = local_cloud.client("cloudformation")
    reason = api.describe_stacks(StackName=name)["Stacks"][0]["StackStatusReason"]
    assert "the local gateway has the route $default alone, not GET /pets" in reason


def test_every_type_of_our_stacks_is_modelled(local_cloud: LocalCloudClient) -> None:
    from moto.cloudformation import parsing

    kinds = {r["Type"] for t in shop().templates.values() for r in t["Resources"].values()}
    assert len(kinds) >= 17
    assert [kind for kind in kinds if parsing.resource_class_from_type(kind) is None] == []
    with pytest.raises(ValidationError):
        parsing.resource_class_from_type("AWS::Some::Thing")


def test_a_stack_that_fails_is_taken_back_in_the_reverse_order_and_says_why(
    local_cloud: LocalCloudClient, name: str, custom: str
) -> None:
    resources = {
        "A": table(f"{name}-a"),
        "B": table(f"{name}-b", DependsOn="A"),
        "C": {**ask(local_cloud, custom, Fail="Create"), "DependsOn": "B"},
    }
    assert local_cloud.deploy(name, resources) == "ROLLBACK_COMPLETE"
    events = local_cloud.events(name)
    assert ("C", "CREATE_FAILED") in events
    assert [event[0] for event in events if event[1] == "DELETE_COMPLETE"] == ["C", "B", "A"]
    assert {n for n in tables(local_cloud) if n.startswith(name)} == set()
    api = local_cloud.client("cloudformation")
    reasons = [
        e.get("ResourceStatusReason")
        for e in api.describe_stack_events(StackName=name)["StackEvents"]
    ]
    assert "its function responded FAILED: as asked" in reasons


def test_an_update_that_fails_leaves_the_stack_as_it_was(
    local_cloud: LocalCloudClient, name: str, custom: str
) -> None:
    before = {"A": ask(local_cloud, custom, Word="before")}
    assert local_cloud.deploy(name, before, Said={"Fn::GetAtt": ["A", "Said"]}) == "CREATE_COMPLETE"
    after = {
        "New": table(f"{name}-new"),
        "A": {**ask(local_cloud, custom, Word="after", Fail="Update"), "DependsOn": "New"},
    }
    assert local_cloud.deploy(name, after) == "UPDATE_ROLLBACK_COMPLETE"
    assert local_cloud.outputs(name) == {"Said": "Create before"}
    assert {n for n in tables(local_cloud) if n.startswith(name)} == set()


def test_a_custom_resource_is_asked_to_create_to_update_and_to_delete(
    local_cloud: LocalCloudClient, name: str, custom: str
) -> None:
    said = {"Said": {"Fn::GetAtt": ["A", "Said"]}, "Flag": {"Fn::GetAtt": ["A", "Flag"]}}
    local_cloud.deploy(
        name, {"A": ask(local_cloud, custom, Word="one", Flag=True, Id=f"{name}-1")}, **said
    )
    assert local_cloud.outputs(name) == {
        "Said": "Create one",
        "Flag": "true",
    }  # every value comes as text
    local_cloud.deploy(
        name, {"A": ask(local_cloud, custom, Word="two", Id=f"{name}-2")}, Said=said["Said"]
    )
    assert local_cloud.outputs(name) == {"Said": "Update two"}
    local_cloud.delete(name)
    asked = [
        line.split()[1:]
        for line in local_cloud.log(custom).splitlines()
        if line.startswith("CUSTOM") and name in line
    ]
    assert asked == [["Update", f"{name}-1"], ["Delete", f"{name}-1"], ["Delete", f"{name}-2"]]


def test_a_custom_resource_that_never_answers_fails_at_once(
    local_cloud: LocalCloudClient, name: str, custom: str
) -> None:
    # Nor does it answer that it deleted what a failed creation may have left.
    assert (
        local_cloud.deploy(name, {"A": ask(local_cloud, custom, Fail="Silence")})
        == "ROLLBACK_FAILED"
    )
    reason = local_cloud.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0][
        "StackStatusReason"
    ]
    assert "its function did not respond" in reason


def test_what_a_resource_needs_that_cannot_be_deleted_stays_and_all_else_goes(
    local_cloud: LocalCloudClient, name: str, custom: str
) -> None:
    needs = {"DependsOn": "A"}
    resources = {
        "A": table(f"{name}-a"),
        "B": table(f"{name}-b"),
        "C": {**ask(local_cloud, custom, Fail="Delete", Id=f"{name}-c"), **needs},
        "D": {**ask(local_cloud, custom, Fail="Delete"), **needs, "DeletionPolicy": "Retain"},
    }
    assert local_cloud.deploy(name, resources) == "CREATE_COMPLETE"
    assert local_cloud.delete(name) == "DELETE_FAILED"
    assert {n for n in tables(local_cloud) if n.startswith(name)} == {f"{name}-a"}
    assert ("D", "DELETE_SKIPPED") in local_cloud.events(name)
    kept = {**resources["C"], "DeletionPolicy": "Retain"}
    assert local_cloud.deploy(name, {"A": resources["A"], "C": kept}) == "UPDATE_COMPLETE"
    assert local_cloud.delete(name) == "DELETE_COMPLETE"
    assert {n for n in tables(local_cloud) if n.startswith(name)} == set()


def test_a_change_set_that_is_not_there_has_the_code_that_the_cdk_looks_for(
    local_cloud: LocalCloudClient, name: str
) -> None:
    api = local_cloud.client("cloudformation")
    with pytest.raises(api.exceptions.ClientError) as caught:
        api.describe_change_set(StackName=name, ChangeSetName="none")
    assert caught.value.response["Error"]["Code"] == "ChangeSetNotFound"
