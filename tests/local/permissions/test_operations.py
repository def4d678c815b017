"""Requests need the permissions that AWS's reference names for them, on the resources that they name."""

import json

import pytest

from local.permissions.errors import NotEvaluated
from local.permissions.operations import Needed, Request, needed, signed_by

ACCOUNT = "123456789012"
LAMBDA = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function"
SAGEMAKER = f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}"
PARAMETER = f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter"


def request(path: str, query: str = "", body: bytes = b"", **headers: str) -> Request:
    return Request(
        method="POST",
        path=path,
        query=query,
        headers={f"HTTP_{name}": value for name, value in headers.items()},
        body=body,
        region="eu-west-1",
        account=ACCOUNT,
    )


def pairs(found: object) -> list[tuple[str, str]]:
    assert isinstance(found, list | tuple)
    assert all(isinstance(one, Needed) for one in found)
    return [(one.action, one.resource) for one in found]


@pytest.mark.parametrize(
    ("name", "query", "arn"),
    [
        ("f", "", f"{LAMBDA}:f"),
        ("f:live", "", f"{LAMBDA}:f:live"),
        ("f", "Qualifier=live", f"{LAMBDA}:f:live"),
        (f"{LAMBDA}:f:live", "", f"{LAMBDA}:f:live"),
        ("f", "Qualifier=%24LATEST", f"{LAMBDA}:f:$LATEST"),
    ],
)
def test_a_function_is_invoked_by_the_name_it_is_called_by(name: str, query: str, arn: str) -> None:
    paths = (
        "2015-03-31/functions/{}/invocations",
        "2021-11-15/functions/{}/response-streaming-invocations",
    )
    for path in paths:
        asked = request(f"/{path.format(name)}", query)
        assert pairs(needed(asked, "lambda")) == [("lambda:InvokeFunction", arn)]


@pytest.mark.parametrize(
    ("ending", "actions"),
    [
        ("invocations", ["InvokeEndpoint"]),
        ("invocations-response-stream", ["InvokeEndpoint", "InvokeEndpointWithResponseStream"]),
        ("async-invocations", ["InvokeEndpointAsync"]),
    ],
)
def test_an_endpoint_and_its_component_need_the_action_in_lower_case(
    ending: str, actions: list[str]
) -> None:
    asked = request(
        f"/endpoints/Shop-GPU/{ending}", X_AMZN_SAGEMAKER_INFERENCE_COMPONENT="Shop-GPU"
    )
    assert pairs(needed(asked, "sagemaker")) == [
        (f"sagemaker:{action}", f"{SAGEMAKER}:{resource}/shop-gpu")
        for action in actions
        for resource in ("endpoint", "inference-component")
    ]
    plain = request(f"/endpoints/Shop-GPU/{ending}")
    assert pairs(needed(plain, "sagemaker")) == [
        (f"sagemaker:{action}", f"{SAGEMAKER}:endpoint/shop-gpu") for action in actions
    ]


def test_each_parameter_that_is_named_in_the_body_needs_the_action() -> None:
    body = json.dumps({"Names": ["/shop/intents/cpu", "plain"]}).encode()
    asked = request("/", body=body, X_AMZ_TARGET="AmazonSSM.GetParameters")
    assert pairs(needed(asked, "ssm")) == [
        ("ssm:GetParameters", f"{PARAMETER}/shop/intents/cpu"),
        ("ssm:GetParameters", f"{PARAMETER}/plain"),
    ]


@pytest.mark.parametrize(
    ("asked", "service", "words"),
    [
        (request("/2015-03-31/functions"), "lambda", "lambda POST /2015-03-31/functions"),
        (request("/endpoints/e/invocations"), "lambda", "lambda POST /endpoints/e/invocations"),
        (request("/", X_AMZ_TARGET="SageMaker.CreateModel"), "sagemaker", "sagemaker CreateModel"),
        (request("/", X_AMZ_TARGET="DynamoDB_20120810.Query"), "dynamodb", "dynamodb Query"),
    ],
)
def test_what_is_not_known_to_need_a_permission_is_refused_by_name(
    asked: Request, service: str, words: str
) -> None:
    with pytest.raises(NotEvaluated) as caught:
        needed(asked, service)
    assert words in str(caught.value)
    assert "local/permissions/operations.py" in str(caught.value)


def test_the_signer_is_in_the_authorization_alone() -> None:
    value = "AWS4-HMAC-SHA256 Credential=KEY/20261127/eu-west-1/lambda/aws4_request, SignedHeaders"
    found = signed_by({"HTTP_AUTHORIZATION": value})
    assert found is not None
    assert (found.key, found.region, found.service) == ("KEY", "eu-west-1", "lambda")
    assert signed_by({"HTTP_AUTHORIZATION": "Bearer KEY"}) is None
    assert signed_by({}) is None
