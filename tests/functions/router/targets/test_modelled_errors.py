"""Every error that the services model has a meaning, as real botocore parses it."""

import botocore.session
import pytest

from contracts.http_errors import DeadlineExceeded, ModelFailed, ServingError, TierUnavailable
from contracts.tasks import Tier
from functions.router.targets.failures import (
    ANSWERS,
    THROTTLED,
    Meaning,
    TargetFailed,
    meaning_of,
)
from functions.router.targets.health import Condition
from tests.fixtures.fake_aws import Service, invoke, model_error, serving

TIER_OF = {"lambda": Tier.CPU, "sagemaker-runtime": Tier.GPU}
OPERATIONS = {
    "lambda": ("Invoke",),
    "sagemaker-runtime": (
        "InvokeEndpoint",
        "InvokeEndpointAsync",
        "InvokeEndpointWithResponseStream",
    ),
}


def modelled() -> list[tuple[Tier, str, int]]:
    """Return every error that botocore's service models have for an invocation, with its status."""
    session = botocore.session.get_session()
    found = {
        (TIER_OF[service], shape.name, shape.metadata.get("error", {}).get("httpStatusCode", 500))
        for service, operations in OPERATIONS.items()
        for operation in operations
        for shape in session.get_service_model(service).operation_model(operation).error_shapes
    }
    return sorted(found)


def meaning(service: Service, tier: Tier) -> Meaning:
    with serving(service), pytest.raises(TargetFailed) as caught:
        invoke(service.address, tier)
    return caught.value.meaning


def test_every_error_that_the_services_model_is_in_the_table() -> None:
    known = {code for answer in ANSWERS for code in answer.codes} | {"ModelError"}
    assert {code for _, code, _ in modelled()} - known == set()
    # Of the others AWS documents that any service may answer with them, or an older model had them.
    assert known - {code for _, code, _ in modelled()} == {
        "AccessDenied",
        "AccessDeniedException",
        "ProvisionedConcurrencyConfigNotFoundException",
        "ThrottlingException",
    }


# ModelError has meanings by its original status; the others are events of a stream, which is not read here.
ELSEWHERE = ("ModelError", "ModelStreamError", "InternalStreamFailure")


@pytest.mark.parametrize(
    ("tier", "code", "status"), [row for row in modelled() if row[1] not in ELSEWHERE]
)
def test_every_modelled_error_is_parsed_by_botocore_to_its_meaning(
    tier: Tier, code: str, status: int
) -> None:
    body = {"Type": "User", "message": "secret", "Message": "secret"}
    service = Service(status=status, body=body, headers={"x-amzn-ErrorType": f"{code}:http://a"})
    assert meaning(service, tier) is meaning_of(code, "")


@pytest.mark.parametrize(
    ("reason", "condition", "hold_s"),
    [
        ("ConcurrentInvocationLimitExceeded", Condition.THROTTLED, 0.5),
        ("ReservedFunctionConcurrentInvocationLimitExceeded", Condition.THROTTLED, 0.5),
        ("FunctionInvocationRateLimitExceeded", Condition.THROTTLED, 1),
        ("ReservedFunctionInvocationRateLimitExceeded", Condition.THROTTLED, 1),
        ("CallerRateLimitExceeded", Condition.THROTTLED, 1),
        ("ConcurrentSnapshotCreateLimitExceeded", Condition.WAKING, None),
    ],
)
def test_a_throttled_function_is_left_alone_by_its_reason(
    reason: str, condition: Condition, hold_s: float | None
) -> None:
    service = Service(
        status=429,
        body={"Reason": reason, "Type": "User", "message": "Rate Exceeded."},
        headers={"x-amzn-ErrorType": "TooManyRequestsException"},
    )
    found = meaning(service, Tier.CPU)
    assert (found.condition, found.hold_s) == (condition, hold_s)


def test_the_reasons_of_a_throttle_are_those_of_the_model() -> None:
    model = botocore.session.get_session().get_service_model("lambda")
    for reason in model.shape_for("ThrottleReason").enum:
        assert meaning_of("TooManyRequestsException", reason) is not THROTTLED


@pytest.mark.parametrize(
    ("message", "condition"),
    [
        ("Inference Component has no capacity to process this request.", Condition.ASLEEP),
        ("Endpoint x of account 1 not found.", Condition.MISSING),
        ("Could not find inference component x.", Condition.MISSING),
        ("Invalid ContentType.", Condition.FAILING),
    ],
)
def test_a_validation_error_means_what_its_text_says(message: str, condition: Condition) -> None:
    service = Service(
        status=400, body={"Message": message}, headers={"x-amzn-ErrorType": "ValidationError"}
    )
    assert meaning(service, Tier.GPU).condition is condition


@pytest.mark.parametrize(
    ("status", "condition", "kind"),
    [
        (429, Condition.THROTTLED, TierUnavailable),
        (503, Condition.FAILING, TierUnavailable),
        (504, Condition.FAILING, DeadlineExceeded),
        (500, Condition.FAILING, ModelFailed),
        (400, Condition.FAILING, ModelFailed),
    ],
)
def test_a_containers_answer_means_what_its_status_says(
    status: int, condition: Condition, kind: type[ServingError]
) -> None:
    found = meaning(model_error(status, "<html>"), Tier.GPU)
    assert (found.condition, found.error) == (condition, kind)
