"""The failures of a target, and their meanings: one table of what Lambda and SageMaker say.

A failure says what becomes known of the target, what the caller gets if no other target answers, and whether the model
may have run. `docs/routing.md` shows the table.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from contracts.http_errors import (
    DeadlineExceeded,
    ModelFailed,
    ServingError,
    TierUnavailable,
    TooLarge,
)
from functions.router.targets.health import Condition

RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """The meaning of a failure.

    `condition` is what it says of the target: READY where the fault is the request's. `detail` is for the caller, with
    the tier and the code in braces. `ran` says that the model may have run, `elsewhere` that another target may answer,
    `again` that the same one may: nothing has arrived there. `hold_s` is how long the target is then left alone.
    """

    condition: Condition
    error: type[ServingError]
    detail: str
    ran: bool = False
    elsewhere: bool = True
    again: bool = False
    hold_s: float | None = None


class TargetFailed(Exception):
    """A target did not answer with a prediction; `error` is the caller's if no other target does."""

    def __init__(self, meaning: Meaning, error: ServingError) -> None:
        super().__init__(error.detail)
        self.meaning, self.error = meaning, error


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer of a service by its codes; with `says`, those alone whose message or reason has that text."""

    codes: tuple[str, ...]
    meaning: Meaning
    says: str = ""


BUSY = "the {tier} tier is busy or waking up"
MISSING = Meaning(
    condition=Condition.MISSING, error=TierUnavailable, detail="the {tier} tier is not deployed yet"
)
ASLEEP = Meaning(condition=Condition.ASLEEP, error=TierUnavailable, detail=BUSY)
WAKING = Meaning(condition=Condition.WAKING, error=TierUnavailable, detail=BUSY)
THROTTLED = Meaning(condition=Condition.THROTTLED, error=TierUnavailable, detail=BUSY)
DOWN = Meaning(condition=Condition.FAILING, error=TierUnavailable, detail=BUSY)
BROKEN = Meaning(
    condition=Condition.FAILING,
    error=ModelFailed,
    detail="the {tier} tier cannot be invoked ({code})",
)
DENIED = replace(BROKEN, detail="the router may not invoke the {tier} tier ({code})")
TOO_LARGE = Meaning(
    condition=Condition.READY,
    error=TooLarge,
    detail="the request is over the 6 MB that the {tier} tier takes",
    elsewhere=False,
)
CUT_OFF = replace(DOWN, detail="the {tier} tier broke off its answer", ran=True, elsewhere=False)

# The first that fits counts. SageMaker reports a missing endpoint and a component without copies as a ValidationError:
# only the text tells them apart.
ANSWERS: tuple[Answer, ...] = (
    Answer(codes=("ValidationError",), says="no capacity", meaning=ASLEEP),
    Answer(codes=("ValidationError",), says="not found", meaning=MISSING),
    Answer(codes=("ValidationError",), says="Could not find", meaning=MISSING),
    Answer(
        codes=(
            "NoPublishedVersionException",
            "ResourceNotFoundException",
            "RuntimeAliasDeletedException",
            "RuntimeVersionDeletedException",
        ),
        meaning=MISSING,
    ),
    # An inactive function is made active by the call that finds it so.
    # https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
    Answer(
        codes=(
            "CodeArtifactUserPendingException",
            "ENINotReadyException",
            "ModelNotReadyException",
            "ProvisionedConcurrencyConfigNotFoundException",
            "ResourceConflictException",
            "ResourceNotReadyException",
            "SnapStartNotReadyException",
        ),
        meaning=WAKING,
    ),
    # The rate is counted by the second; a place among the concurrent ones is free once another call ends.
    Answer(codes=("TooManyRequestsException",), says="ConcurrentSnapshot", meaning=WAKING),
    Answer(
        codes=("TooManyRequestsException",),
        says="RateLimitExceeded",
        meaning=replace(THROTTLED, hold_s=1),
    ),
    Answer(
        codes=("TooManyRequestsException",),
        says="ConcurrentInvocationLimitExceeded",
        meaning=replace(THROTTLED, hold_s=0.5),
    ),
    Answer(
        codes=(
            "EC2ThrottledException",
            "ENILimitReachedException",
            "ServiceQuotaExceededException",
            "SubnetIPAddressLimitReachedException",
            "ThrottlingException",
            "TooManyRequestsException",
        ),
        meaning=THROTTLED,
    ),
    Answer(
        codes=(
            "EC2UnexpectedException",
            "EFSMountConnectivityException",
            "EFSMountTimeoutException",
            "InternalDependencyException",
            "InternalFailure",
            "S3FilesMountConnectivityException",
            "S3FilesMountTimeoutException",
            "ServiceException",
            "ServiceUnavailable",
            "SnapStartRegenerationFailureException",
            "SnapStartTimeoutException",
        ),
        meaning=DOWN,
    ),
    Answer(
        codes=("RequestTooLargeException", "SerializedRequestEntityTooLargeException"),
        meaning=TOO_LARGE,
    ),
    Answer(codes=("InternalStreamFailure", "ModelStreamError"), meaning=CUT_OFF),
    Answer(
        codes=("AccessDenied", "AccessDeniedException", "EC2AccessDeniedException"), meaning=DENIED
    ),
    Answer(
        codes=(
            "CodeArtifactUserDeletedException",
            "CodeArtifactUserFailedException",
            "DurableExecutionAlreadyStartedException",
            "EFSIOException",
            "EFSMountFailureException",
            "InvalidParameterValueException",
            "InvalidRequestContentException",
            "InvalidRuntimeException",
            "InvalidSecurityGroupIDException",
            "InvalidSubnetIDException",
            "InvalidZipFileException",
            "KMSAccessDeniedException",
            "KMSDisabledException",
            "KMSInvalidStateException",
            "KMSNotFoundException",
            "ModeNotSupportedException",
            "RecursiveInvocationException",
            "S3FilesMountFailureException",
            "SnapStartException",
            "UnsupportedMediaTypeException",
            "ValidationError",
        ),
        meaning=BROKEN,
    ),
)

# The failures on the way, by their names in botocore.
UNREACHED = Meaning(
    condition=Condition.FAILING,
    error=TierUnavailable,
    detail="the {tier} tier cannot be reached",
    again=True,
)
CLOSED = replace(UNREACHED, ran=True)
UNKNOWN = replace(UNREACHED, ran=True, again=False)
LATE = Meaning(
    condition=Condition.FAILING,
    error=DeadlineExceeded,
    detail="the {tier} tier did not answer in {seconds:g} s",
    ran=True,
    elsewhere=False,
)
ON_THE_WAY: Mapping[str, Meaning] = {
    "EndpointConnectionError": UNREACHED,
    "ConnectTimeoutError": UNREACHED,
    "ConnectionClosedError": CLOSED,
    "ReadTimeoutError": LATE,
    "ResponseStreamingError": CUT_OFF,
    "IncompleteReadError": CUT_OFF,
}

# The problems in an answer of our own function or container, by their codes; any other is the request's.
CRASHED = Meaning(condition=Condition.FAILING, error=ModelFailed, detail="", ran=True)
OVERDUE = Meaning(condition=Condition.FAILING, error=DeadlineExceeded, detail="", ran=True)
REFUSED = Meaning(condition=Condition.READY, error=ServingError, detail="", elsewhere=False)
PROBLEMS: Mapping[str, Meaning] = {
    "internal_error": CRASHED,
    "model_failed": CRASHED,
    "probe_failed": replace(CRASHED, ran=False),
    "tier_unavailable": replace(THROTTLED, detail=""),
    "deadline_exceeded": OVERDUE,
}


# The statuses of a container's answer that is no problem of ours; any other is a crash.
BY_STATUS: Mapping[object, Meaning] = {429: THROTTLED, 503: DOWN, 504: OVERDUE}


def meaning_of(code: str, message: str) -> Meaning:
    """Return the meaning of a service's error; BROKEN for a code that the table lacks, as of an expired token."""
    for answer in ANSWERS:
        if code in answer.codes and answer.says in message:
            return answer.meaning
    return DENIED if code.startswith("AccessDenied") else BROKEN


def failed(meaning: Meaning, tier: str, **said: Any) -> TargetFailed:
    """Return the failure of a tier; a target that is not ready has `Retry-After`."""
    error = meaning.error(meaning.detail.format(tier=tier, **said))
    if isinstance(error, TierUnavailable):
        error.retry_after_s = RETRY_AFTER_S
    return TargetFailed(meaning, error)


def problem(error: ServingError) -> TargetFailed:
    """Return the failure that a tier's own problem is."""
    meaning = PROBLEMS.get(error.code, REFUSED)
    return TargetFailed(replace(meaning, hold_s=error.retry_after_s), error)


def document_of(body: bytes) -> object:
    """Return the document in the body of an answer; None for what is no JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
