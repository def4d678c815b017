"""The actions and resources that an HTTP request of AWS's API needs, by the service's own reference.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from local.permissions.errors import NotEvaluated

# `Credential=KEY/DATE/REGION/SERVICE/aws4_request` of a signed request.
CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
COMPONENT = "HTTP_X_AMZN_SAGEMAKER_INFERENCE_COMPONENT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The signer of a request: its access key, with the region and the service that it signed for."""

    key: str
    region: str
    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """A permission that a request needs."""

    action: str
    resource: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as its permissions depend on it; `headers` are those of WSGI's environment."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    region: str
    account: str

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation that is found by its path, and the permissions that it needs."""

    service: str
    path: re.Pattern[str]
    needs: Callable[[Request, re.Match[str]], Sequence[Needed]]
    method: str = "POST"


def signed_by(headers: Mapping[str, str]) -> Signed | None:
    """Return the signer of a request; None if it is not signed."""
    found = CREDENTIAL.search(headers.get("HTTP_AUTHORIZATION", ""))
    return Signed(key=found[1], region=found[2], service=found[3]) if found else None


def needed(request: Request, service: str) -> Sequence[Needed]:
    """Return the permissions that a request needs; raise NotEvaluated for one that is not known here."""
    if target := request.headers.get("HTTP_X_AMZ_TARGET"):
        return _of_target(request, service, target)
    for operation in OPERATIONS:
        found = operation.path.fullmatch(request.path)
        if found and (operation.service, operation.method) == (service, request.method):
            return operation.needs(request, found)
    raise _unknown(service, f"{request.method} {request.path}")


def name_of(request: Request, service: str) -> str:
    """Return the name of a request's operation, for whoever may do everything; its method if it has no name."""
    if target := request.headers.get("HTTP_X_AMZ_TARGET"):
        return f"{service}:{target.rpartition('.')[2]}"
    named = re.search(rb"(?:^|&)Action=(\w+)", request.body)
    return f"{service}:{named[1].decode() if named else request.method}"


def _of_target(request: Request, service: str, target: str) -> Sequence[Needed]:
    operation = f"{service}:{target.rpartition('.')[2]}"
    resources = NAMED_INSIDE.get(operation)
    if resources is None:
        raise _unknown(service, target.rpartition(".")[2])
    members: dict[str, Any] = json.loads(request.body or b"{}")
    return [Needed(action=operation, resource=arn) for arn in resources(request, members)]


def _parameters(request: Request, members: dict[str, Any]) -> list[str]:
    # The name of a parameter begins with the slash that divides it from its kind, if it has any.
    return [request.arn("ssm", f"parameter/{name.removeprefix('/')}") for name in members["Names"]]


def _table(request: Request, members: dict[str, Any]) -> list[str]:
    return [request.arn("dynamodb", f"table/{members['TableName']}")]


def _tables(request: Request, members: dict[str, Any]) -> list[str]:
    return [request.arn("dynamodb", f"table/{name}") for name in members["RequestItems"]]


def _component(request: Request, members: dict[str, Any]) -> list[str]:
    name = str(members["InferenceComponentName"]).lower()
    return [request.arn("sagemaker", f"inference-component/{name}")]


# Operations whose resources are named in a body of JSON, which SDKs write.
NAMED_INSIDE: Mapping[str, Callable[[Request, dict[str, Any]], list[str]]] = {
    "dynamodb:BatchGetItem": _tables,
    "dynamodb:GetItem": _table,
    "dynamodb:PutItem": _table,
    "dynamodb:UpdateItem": _table,
    "sagemaker:DescribeInferenceComponent": _component,
    "ssm:GetParameters": _parameters,
}


def _unknown(service: str, operation: str) -> NotEvaluated:
    return NotEvaluated(
        f"the local cloud does not know which permission {service} {operation} needs; add it to "
        "local/permissions/operations.py"
    )


def _invoke_function(request: Request, found: re.Match[str]) -> Sequence[Needed]:
    name = found[1]
    qualifier = re.search(r"(?:^|&)Qualifier=([^&]+)", request.query)
    # `name`, `name:alias` or an ARN. A grant on an alias covers the alias alone.
    name = name.rpartition(":function:")[2] + (f":{unquote(qualifier[1])}" if qualifier else "")
    arn = request.arn("lambda", f"function:{name}")
    return (Needed(action="lambda:InvokeFunction", resource=arn),)


def _invoke_endpoint(*actions: str) -> Callable[[Request, re.Match[str]], Sequence[Needed]]:
    def needs(request: Request, found: re.Match[str]) -> Sequence[Needed]:
        names = [f"endpoint/{found[1]}"]
        if component := request.headers.get(COMPONENT):
            names.append(f"inference-component/{component}")
        # SageMaker writes names in ARNs in lower case.
        arns = [request.arn("sagemaker", name.lower()) for name in names]
        return [
            Needed(action=f"sagemaker:{action}", resource=arn) for action in actions for arn in arns
        ]

    return needs


def _get_object(request: Request, found: re.Match[str]) -> Sequence[Needed]:
    # A bucket's name is one of all accounts and regions.
    arn = f"arn:aws:s3:::{found[1]}/{unquote(found[2])}"
    return (Needed(action="s3:GetObject", resource=arn),)


OPERATIONS = (
    Operation(service="s3", path=re.compile(r"/([^/]+)/(.+)"), needs=_get_object, method="GET"),
    Operation(
        service="lambda",
        path=re.compile(r"/2015-03-31/functions/([^/]+)/invocations"),
        needs=_invoke_function,
    ),
    # https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html: the same permission.
    Operation(
        service="lambda",
        path=re.compile(r"/2021-11-15/functions/([^/]+)/response-streaming-invocations"),
        needs=_invoke_function,
    ),
    Operation(
        service="sagemaker",
        path=re.compile(r"/endpoints/([^/]+)/invocations"),
        needs=_invoke_endpoint("InvokeEndpoint"),
    ),
    # Its API reference names the permission of whole answers, the services' reference one of its own: with both, either
    # may be right. https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointWithResponseStream.html
    Operation(
        service="sagemaker",
        path=re.compile(r"/endpoints/([^/]+)/invocations-response-stream"),
        needs=_invoke_endpoint("InvokeEndpoint", "InvokeEndpointWithResponseStream"),
    ),
    Operation(
        service="sagemaker",
        path=re.compile(r"/endpoints/([^/]+)/async-invocations"),
        needs=_invoke_endpoint("InvokeEndpointAsync"),
    ),
)
