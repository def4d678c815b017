"""The errors of HTTP answers, and the documents by which they cross the wire."""

import pytest

from contracts.http_errors import (
    ERRORS,
    InvalidInput,
    ModelFailed,
    RequestProblem,
    ServingError,
    TierUnavailable,
    TooLarge,
    from_problem,
    pointer,
    problem_document,
)
from contracts.prediction import TierAnswer


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("two things", problems=[RequestProblem(pointer="/a", detail="invalid")]),
        TierUnavailable("64 requests are waiting already", retry_after_s=1),
    ],
)
def test_a_problem_survives_the_wire(error: ServingError) -> None:
    with pytest.raises(type(error)) as caught:
        TierAnswer.from_wire({"problem": problem_document(error)})
    assert problem_document(caught.value) == problem_document(error)


@pytest.mark.parametrize("told", [True, 0, -1, 1.5, 901, "1", None])
def test_a_wait_that_no_tier_of_ours_asks_for_is_left_out(told: object) -> None:
    document = problem_document(TierUnavailable("later")) | {"retry_after_s": told}
    assert from_problem(document).retry_after_s is None


def test_a_foreign_problem_becomes_a_failure_of_the_model() -> None:
    error = from_problem({"type": "https://example.com/other", "errors": ["not ours"]})
    assert type(error) is ModelFailed
    assert (error.code, bool(error.detail)) == ("model_failed", True)
    assert error.problems == ()


def test_every_error_has_a_code_and_a_status_of_its_kind() -> None:
    assert {code: kind.status for code, kind in ERRORS.items()} == {
        "internal_error": 500,
        "malformed_request": 400,
        "unauthorized": 401,
        "unknown_model": 404,
        "too_large": 413,
        "unsupported_encoding": 415,
        "invalid_input": 422,
        "model_failed": 502,
        "tier_unavailable": 503,
        "probe_failed": 503,
        "deadline_exceeded": 504,
    }
    assert all(issubclass(kind, ServingError) for kind in ERRORS.values())
    assert problem_document(TooLarge("x")) == {
        "type": "urn:turnout:problem:too-large",
        "title": "Too large",
        "status": 413,
        "detail": "x",
        "code": "too_large",
    }


def test_a_pointer_is_cut_before_it_is_longer_than_any_key_of_ours() -> None:
    assert pointer("parameters", "k" * 500) == "/parameters/" + "k" * 188 + "…"
