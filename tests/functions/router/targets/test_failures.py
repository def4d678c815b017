"""Every way in which Lambda and SageMaker fail is distinguished, and none of their messages reaches a client."""

import json
from typing import Any

import pytest

from contracts.http_errors import (
    DeadlineExceeded,
    ModelFailed,
    ServingError,
    TierUnavailable,
    TooLarge,
    problem_document,
)
from contracts.tasks import Tier
from functions.router.targets.failures import BROKEN, DENIED, Meaning, meaning_of
from tests.fixtures.fake_aws import Service, failure, model_error

# Words of the services' own messages in these tests.
THEIRS = ("secret", "RequestId", "timed out", "signal", "payload size", "Traceback", "account 1")


def assert_kind(error: ServingError, kind: type[ServingError], detail: str) -> None:
    """Check the kind of an error and what its detail names, and that it repeats no message of a service."""
    assert (type(error), detail in error.detail) == (kind, True), error.detail
    assert [words for words in THEIRS if words in error.detail] == []


@pytest.mark.parametrize(
    ("payload", "kind", "detail"),
    [
        (
            {
                "errorType": "Sandbox.Timedout",
                "errorMessage": "RequestId: 1 Error: Task timed out after 1.00 seconds",
            },
            DeadlineExceeded,
            "its time",
        ),
        (
            {"errorMessage": "2026-11-24T00:00:00Z 1 Task timed out after 1.00 seconds"},
            DeadlineExceeded,
            "its time",
        ),
        (
            {
                "errorType": "Runtime.ExitError",
                "errorMessage": "RequestId: 1 Error: Runtime exited with error: signal: killed",
            },
            ModelFailed,
            "function crashed",
        ),
        (
            {
                "errorType": "Function.ResponseSizeTooLarge",
                "errorMessage": "Response payload size exceeded",
            },
            TooLarge,
            "6 MB of one answer",
        ),
        (
            {"errorType": "ValueError", "errorMessage": "secret", "stackTrace": ["secret"]},
            ModelFailed,
            "function crashed",
        ),
        (b"not json", ModelFailed, "function crashed"),
    ],
    ids=["timeout", "timeout on AWS", "killed", "large answer", "exception", "rubbish"],
)
def test_a_function_that_fails_is_answered_by_its_cause(
    payload: Any, kind: type[ServingError], detail: str
) -> None:
    error = failure(Service(body=payload, headers={"X-Amz-Function-Error": "Unhandled"}))
    assert_kind(error, kind, detail)


@pytest.mark.parametrize(
    ("status", "code", "kind", "detail"),
    [
        (404, "ResourceNotFoundException", TierUnavailable, "not deployed"),
        (429, "TooManyRequestsException", TierUnavailable, "busy"),
        (409, "ResourceConflictException", TierUnavailable, "busy"),
        (500, "ServiceException", TierUnavailable, "busy"),
        (
            413,
            "RequestTooLargeException",
            TooLarge,
            "request is over the 6 MB",
        ),
        (
            403,
            "AccessDeniedException",
            ModelFailed,
            "(AccessDenied)",
        ),
        (
            502,
            "InvalidRuntimeException",
            ModelFailed,
            "(InvalidRuntimeException)",
        ),
    ],
)
def test_an_error_of_lambda_itself_has_its_status(
    status: int, code: str, kind: type[ServingError], detail: str
) -> None:
    error = failure(
        Service(status=status, body={"Message": "secret"}, headers={"x-amzn-ErrorType": code})
    )
    assert_kind(error, kind, detail)


@pytest.mark.parametrize(
    ("service", "kind", "detail"),
    [
        (
            model_error(413, json.dumps(problem_document(TooLarge("41 inputs")))),
            TooLarge,
            "41 inputs",
        ),
        (
            model_error(503, json.dumps(problem_document(TierUnavailable("waiting")))),
            TierUnavailable,
            "waiting",
        ),
        (
            model_error(500, "Traceback (most recent call last)"),
            ModelFailed,
            "container failed (status 500)",
        ),
        (
            model_error(500, '{"type": "about:blank"}'),
            ModelFailed,
            "container failed (status 500)",
        ),
        (
            Service(
                status=400,
                body={"Message": "Endpoint x of account 1 not found."},
                headers={"x-amzn-ErrorType": "ValidationError"},
            ),
            TierUnavailable,
            "not deployed",
        ),
        (
            Service(
                status=400,
                body={"Message": "Inference Component has no capacity to process this request."},
                headers={"x-amzn-ErrorType": "ValidationError"},
            ),
            TierUnavailable,
            "busy",
        ),
        (
            Service(status=503, body={}, headers={"x-amzn-ErrorType": "ServiceUnavailable"}),
            TierUnavailable,
            "busy",
        ),
    ],
    ids=[
        "our problem",
        "our problem 503",
        "a trace",
        "another problem",
        "no endpoint",
        "asleep",
        "unavailable",
    ],
)
def test_an_error_of_sagemaker_has_its_status(
    service: Service, kind: type[ServingError], detail: str
) -> None:
    error = failure(service, Tier.GPU)
    assert_kind(error, kind, detail)


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("ExpiredTokenException", BROKEN),
        ("KMSAccessDeniedForSomebodyException", BROKEN),
        ("AccessDeniedByPolicyException", DENIED),
        ("", BROKEN),
    ],
)
def test_a_code_that_no_service_model_has_is_no_reason_to_wait(code: str, meaning: Meaning) -> None:
    assert meaning_of(code, "any message") is meaning
