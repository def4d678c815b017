"""The services that faults are about: the calls that are theirs, and their own words for being throttled or down."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import unquote

from local.permissions.operations import COMPONENT, signed_by

ENDPOINT = re.compile(r"/endpoints/([^/]+)/invocations(?:-response-stream)?")
FUNCTION = re.compile(
    r"/(?:2015-03-31|2021-11-15)/functions/([^/]+)/(?:response-streaming-)?invocations"
)
# Errors that every operation may have, and no service model lists.
# https://docs.aws.amazon.com/awssupport/latest/APIReference/CommonErrors.html
COMMON = {
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "InternalFailure": 500,
    "ServiceUnavailable": 503,
    "ThrottlingException": 400,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A service that is called, and the function or the component; without it, any of the service's."""

    service: str
    name: str = ""

    def covers(self, other: "Called") -> bool:
        return self.service == other.service and self.name in ("", other.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsError:
    """An error as AWS answers it: HTTP status, code, message, and further members of the body."""

    status: int
    code: str
    message: str
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service: its operations by botocore's name of their model, and how it says that it is throttled, or down."""

    model: str
    operations: tuple[str, ...]
    throttled: AwsError
    down: AwsError


# The messages are those of the services' references, or of their answers.
SERVICES: Mapping[str, Service] = {
    "lambda": Service(
        model="lambda",
        operations=("Invoke",),
        throttled=AwsError(
            status=429,
            code="TooManyRequestsException",
            message="Rate Exceeded.",
            more={"Reason": "ConcurrentInvocationLimitExceeded", "Type": "User"},
        ),
        down=AwsError(
            status=500,
            code="ServiceException",
            message="The AWS Lambda service encountered an internal error.",
            more={"Type": "Service"},
        ),
    ),
    "sagemaker": Service(
        model="sagemaker-runtime",
        operations=("InvokeEndpoint",),
        throttled=AwsError(status=400, code="ThrottlingException", message="Rate exceeded"),
        down=AwsError(
            status=503,
            code="ServiceUnavailable",
            message="The service is unavailable. Try your call again.",
        ),
    ),
    "dynamodb": Service(
        model="dynamodb",
        operations=("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem"),
        # A table of a fixed capacity would say ProvisionedThroughputExceededException.
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
        throttled=AwsError(
            status=400,
            code="ThrottlingException",
            message="Rate of requests exceeds the allowed throughput.",
        ),
        down=AwsError(status=500, code="InternalServerError", message="Internal server error"),
    ),
    "ssm": Service(
        model="ssm",
        operations=("GetParameters",),
        throttled=AwsError(status=400, code="ThrottlingException", message="Rate exceeded"),
        down=AwsError(
            status=500,
            code="InternalServerError",
            message="An error occurred on the server side.",
        ),
    ),
}


def called(environ: Mapping[str, Any]) -> Called | None:
    """Return what a request calls; None for the control planes, of which no fault is modelled."""
    path = environ["PATH_INFO"]
    if found := ENDPOINT.fullmatch(path):
        return Called(service="sagemaker", name=environ.get(COMPONENT, found[1]))
    if found := FUNCTION.fullmatch(path):
        name = unquote(found[1]).rpartition(":function:")[2].partition(":")[0]
        return Called(service="lambda", name=name)
    signed = signed_by(environ)
    return (
        Called(service=signed.service) if signed and signed.service in ("dynamodb", "ssm") else None
    )


@cache
def errors_of(service: str) -> Mapping[str, AwsError]:
    """Return the errors that a service has by its model, and those that all have, by their codes."""
    from botocore.session import Session

    found = {
        code: AwsError(status=status, code=code, message="") for code, status in COMMON.items()
    }
    model = Session().get_service_model(SERVICES[service].model)
    for operation in SERVICES[service].operations:
        for shape in model.operation_model(operation).error_shapes:
            # Where a model names no status, the service's protocol is JSON's, whose errors of its own are 500.
            stated = shape.metadata.get("error", {}).get("httpStatusCode")
            internal = shape.name == SERVICES[service].down.code
            found[shape.name] = AwsError(
                status=stated or (500 if internal else 400),
                code=shape.name,
                message=re.sub(r"<[^>]+>", "", shape.documentation or "").strip(),
            )
    return found
