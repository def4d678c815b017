"""The errors of OpenAI's own client are those that its documentation promises."""

import openai
import pytest

from contracts.http_errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelFailed,
    RequestProblem,
    TierUnavailable,
    TooLarge,
)
from tests.fixtures.router_app import KEY, FakeTier
from tests.functions.router.openai.deployment import deployed, openai_client


def ask(tier: FakeTier, model: str = "writer", key: str = KEY) -> openai.APIStatusError:
    """Return the error of a request."""
    client = openai_client(deployed(tier), api_key=key)
    with pytest.raises(openai.APIStatusError) as raised:
        client.completions.create(model=model, prompt="a")
    return raised.value


def test_an_unknown_key_is_an_authentication_error() -> None:
    error = ask(FakeTier(), key="another")
    assert isinstance(error, openai.AuthenticationError)
    assert (error.code, error.type) == ("invalid_api_key", "invalid_request_error")
    assert error.response.headers["www-authenticate"] == "Bearer"


def test_an_unknown_model_is_not_found() -> None:
    error = ask(FakeTier(), model="gpt-9")
    assert isinstance(error, openai.NotFoundError)
    assert error.code == "model_not_found"
    assert "writer" in error.message


@pytest.mark.parametrize(
    ("raised", "kind", "status", "code"),
    [
        (ModelFailed("it crashed"), openai.InternalServerError, 502, "model_failed"),
        (DeadlineExceeded("late"), openai.InternalServerError, 504, "deadline_exceeded"),
        (TooLarge("too many tokens"), openai.BadRequestError, 400, "too_large"),
    ],
)
def test_a_failing_tier_is_an_error_of_the_server(
    raised: Exception, kind: type[openai.APIStatusError], status: int, code: str
) -> None:
    error = ask(FakeTier(error=raised))
    assert isinstance(error, kind)
    assert (error.status_code, error.code) == (status, code)


def test_a_tier_that_wakes_says_when_to_come_back() -> None:
    error = ask(FakeTier(error=TierUnavailable("asleep", retry_after_s=90)))
    assert (error.status_code, error.response.headers["retry-after"]) == (503, "90")


def test_a_problem_of_a_parameter_names_the_key_of_the_dialect() -> None:
    problem = RequestProblem(pointer="/parameters/max_new_tokens", detail="must be at most 8")
    refused = InvalidInput("/parameters/max_new_tokens: must be at most 8", problems=[problem])
    error = ask(FakeTier(error=refused))
    assert (error.param, "max_tokens: must be at most 8" in error.message) == ("max_tokens", True)


def test_a_body_that_is_no_json_is_refused() -> None:
    answer = deployed(FakeTier())("POST", "/v1/completions", "{")
    assert (answer["statusCode"], "malformed_request" in answer["body"]) == (400, True)
