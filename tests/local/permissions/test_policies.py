"""Policies mean here what they mean on AWS: one allow is needed, one deny is enough, what is not known is refused."""

from typing import Any

import pytest

from local.permissions.errors import NotEvaluated
from local.permissions.policies import Call, Decision, decide, like

ROLE = "arn:aws:iam::123456789012:role/router"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/shop"
ALIAS = "arn:aws:lambda:us-east-1:123456789012:function:shop-intents-cpu:live"


def statement(effect: str = "Allow", **parts: Any) -> dict[str, Any]:
    return {"Effect": effect, **parts}


def decided(
    *statements: dict[str, Any], action: str = "dynamodb:Query", resource: str = TABLE, **keys: str
) -> Decision:
    context = tuple((name.replace("_", ":"), value) for name, value in keys.items())
    call = Call(principal=ROLE, action=action, resource=resource, context=context)
    return decide([{"Statement": list(statements)}], call)


@pytest.mark.parametrize(
    ("action", "resource", "decision"),
    [
        ("dynamodb:Query", TABLE, Decision.ALLOWED),
        # The names of actions have no case, ARNs have.
        ("DynamoDB:query", TABLE, Decision.ALLOWED),
        ("dynamodb:Query", TABLE.upper(), Decision.NOT_ALLOWED),
        ("dynamodb:*", "*", Decision.ALLOWED),
        ("dynamodb:Q?ery", TABLE[:-1] + "?", Decision.ALLOWED),
        ("dynamodb:Que", TABLE, Decision.NOT_ALLOWED),
        ("dynamodb:QueryTable", TABLE, Decision.NOT_ALLOWED),
        ("dynamodb:Query", TABLE + "2", Decision.NOT_ALLOWED),
        ("dynamodb:Query", TABLE[:-1], Decision.NOT_ALLOWED),
        (["dynamodb:Scan", "dynamodb:Query"], [ALIAS, TABLE], Decision.ALLOWED),
        ([], TABLE, Decision.NOT_ALLOWED),
        # A point is a point, and no letter of a regular expression means anything.
        ("dynamodb.Query", TABLE, Decision.NOT_ALLOWED),
    ],
)
def test_an_allow_is_about_its_actions_and_its_resources_alone(
    action: Any, resource: Any, decision: Decision
) -> None:
    assert decided(statement(Action=action, Resource=resource)) is decision


def test_a_grant_on_an_alias_is_for_the_alias_alone() -> None:
    invoke = statement(Action="lambda:InvokeFunction", Resource=ALIAS)
    asked = {"alias": ALIAS, "function": ALIAS.removesuffix(":live"), "version": f"{ALIAS[:-4]}1"}
    found = {
        name: decided(invoke, action="lambda:InvokeFunction", resource=arn)
        for name, arn in asked.items()
    }
    allowed = {name for name, decision in found.items() if decision is Decision.ALLOWED}
    assert allowed == {"alias"}


def test_a_stream_of_answers_is_an_action_of_its_own() -> None:
    one = statement(Action="sagemaker:InvokeEndpoint", Resource="*")
    asked = "sagemaker:InvokeEndpointWithResponseStream"
    assert decided(one, action=asked) is Decision.NOT_ALLOWED


def test_nothing_is_allowed_without_a_statement_and_a_deny_wins_wherever_it_stands() -> None:
    allow, deny = (
        statement(effect, Action="dynamodb:Query", Resource="*") for effect in ("Allow", "Deny")
    )
    assert decided() is Decision.NOT_ALLOWED
    assert decided(allow, deny) is decided(deny, allow) is Decision.DENIED
    documents = [{"Statement": deny}, {"Statement": allow}]
    call = Call(principal=ROLE, action="dynamodb:Query", resource=TABLE)
    assert decide(documents, call) is Decision.DENIED
    assert decide(documents[1:], call) is Decision.ALLOWED
    other = statement("Deny", Action="dynamodb:Scan", Resource="*")
    assert decided(allow, other) is Decision.ALLOWED


def test_all_but_some_is_said_by_not() -> None:
    but_scan = statement(NotAction="dynamodb:Scan", Resource="*")
    assert decided(but_scan) is Decision.ALLOWED
    assert decided(but_scan, action="dynamodb:scan") is Decision.NOT_ALLOWED
    but_table = statement(Action="*", NotResource=[TABLE])
    assert decided(but_table) is Decision.NOT_ALLOWED
    assert decided(but_table, resource=ALIAS) is Decision.ALLOWED


@pytest.mark.parametrize(
    ("condition", "account", "holds"),
    [
        ({"StringEquals": {"aws:SourceAccount": "1"}}, "1", True),
        ({"StringEquals": {"AWS:sourceaccount": ["2", "1"]}}, "1", True),
        ({"StringEquals": {"aws:SourceAccount": "1"}}, "2", False),
        ({"StringEquals": {"aws:SourceAccount": "1"}}, None, False),
        ({"StringEqualsIfExists": {"aws:SourceAccount": "1"}}, None, True),
        ({"StringEqualsIfExists": {"aws:SourceAccount": "1"}}, "2", False),
        ({"StringNotEquals": {"aws:SourceAccount": "1"}}, "2", True),
        ({"StringNotEquals": {"aws:SourceAccount": ["1", "2"]}}, "2", False),
        ({"StringNotEquals": {"aws:SourceAccount": "1"}}, None, True),
        ({"StringLike": {"aws:SourceAccount": "1*"}}, "123", True),
        ({"StringNotLike": {"aws:SourceAccount": "1*"}}, "123", False),
        ({"StringEquals": {"aws:SourceAccount": "1*"}}, "123", False),
        ({"ArnLike": {"aws:SourceAccount": "1*"}}, "123", True),
        ({"ArnEquals": {"aws:SourceAccount": "1*"}}, "123", True),
        ({"Bool": {"aws:SourceAccount": True}}, "true", True),
        (
            {"StringLike": {"aws:SourceAccount": "1*"}, "StringEquals": {"aws:other": "x"}},
            "123",
            False,
        ),
    ],
)
def test_a_condition_holds_as_its_operator_says(
    condition: dict[str, Any], account: str | None, holds: bool
) -> None:
    keys = {"aws_SourceAccount": account} if account else {}
    allow = statement(Action="*", Resource="*", Condition=condition)
    assert decided(allow, **keys) is (Decision.ALLOWED if holds else Decision.NOT_ALLOWED)


def test_a_principal_is_a_service_or_a_role_and_nobody_else() -> None:
    trust = statement(Action="sts:AssumeRole", Principal={"Service": "lambda.amazonaws.com"})

    def asked(principal: str, *statements: dict[str, Any]) -> Decision:
        call = Call(principal=principal, action="sts:AssumeRole", resource=ROLE)
        return decide([{"Statement": list(statements)}], call)

    assert asked("lambda.amazonaws.com", trust) is Decision.ALLOWED
    assert asked("sagemaker.amazonaws.com", trust) is Decision.NOT_ALLOWED
    named = statement(Action="sts:AssumeRole", Principal={"AWS": [ALIAS, ROLE]})
    assert asked(ROLE, named) is Decision.ALLOWED
    assert asked(ROLE, statement(Action="sts:AssumeRole", Principal="*")) is Decision.ALLOWED


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, "the condition IpAddress"),
        ({"Condition": {"ForAllValues:StringLike": {"k": "v"}}}, "ForAllValues:StringLike"),
        ({"Resource": "arn:aws:s3:::b/${aws:username}"}, "policy variables"),
        ({"NotPrincipal": {"AWS": ROLE}}, "NotPrincipal"),
    ],
)
def test_what_has_no_meaning_here_is_refused_by_name(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(NotEvaluated, match="does not evaluate") as caught:
        decided(statement(**{"Action": "*", "Resource": "*", **parts}))
    assert words in str(caught.value)


def test_a_pattern_matches_the_whole_text() -> None:
    assert like("a*c", "abc")
    assert like("a*c", "ac")
    assert not like("a?c", "ac")
    assert not like("b", "abc")
    assert like("*", "with\nlines")
