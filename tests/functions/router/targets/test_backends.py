"""Tiers invoked through real boto3 clients, at servers on loopback that answer, hang or are not there."""

import time
from dataclasses import replace
from typing import Any

import pytest
from botocore.config import Config

from contracts.http_errors import TierUnavailable, TooLarge, problem_document
from contracts.limits import (
    BACKEND_SLACK_S,
    CONNECT_TIMEOUT_S,
    GATEWAY_TIMEOUT_S,
    INTEGRATION_TIMEOUT_S,
    LAMBDA_INIT_S,
    MAX_CPU_WRITING_S,
    MAX_GPU_WRITING_S,
    MAX_TIER_TIMEOUT_S,
    REQUEST_S,
    ROUTER_INIT_S,
    ROUTER_TIMEOUT_S,
    SAGEMAKER_STREAM_S,
    STREAM_CLIENT_TIMEOUT_S,
    STREAM_IDLE_S,
    STREAM_INTEGRATION_TIMEOUT_S,
    STREAM_QUIET_S,
    STREAM_REQUEST_S,
    STREAM_ROUTER_TIMEOUT_S,
)
from contracts.tasks import Tier
from functions.router.targets.backends import Clients, LambdaBackend
from functions.router.targets.failures import UNREACHED, TargetFailed
from tests.fixtures.fake_aws import ANSWER, GOOD, REQUEST, Service, client, failure, invoke, serving
from tests.fixtures.problems import assert_names
from tests.fixtures.router_app import target


@pytest.mark.parametrize(
    ("tier", "path"),
    [
        (Tier.CPU, "/2015-03-31/functions/the-cpu/invocations"),
        (Tier.GPU, "/endpoints/the-gpu/invocations"),
    ],
    ids=["lambda", "sagemaker"],
)
def test_a_tier_is_invoked_once_in_the_words_of_the_contract(tier: Tier, path: str) -> None:
    with serving(Service(body=GOOD)) as service:
        assert invoke(service.address, tier) == ANSWER
    ((invoked, headers, body),) = service.seen
    assert (invoked, body) == (path, {"inputs": ["a text"], "parameters": {"top_k": 1}})
    component = headers.get("X-Amzn-SageMaker-Inference-Component")
    assert component == ("the-gpu" if tier is Tier.GPU else None)


@pytest.mark.slow
@pytest.mark.parametrize("tier", list(Tier))
def test_a_tier_that_hangs_gets_one_attempt(tier: Tier) -> None:
    error = failure(Service(body=GOOD, hangs_s=2.5), tier, timeout_s=1, left_s=0.9)
    assert error.code == "deadline_exceeded"
    assert_names(error.detail, (f"{tier} tier", " 1 s"))


def test_timeouts_nest_so_that_every_caller_outlasts_the_one_it_calls() -> None:
    waits = MAX_TIER_TIMEOUT_S + BACKEND_SLACK_S
    assert MAX_TIER_TIMEOUT_S < waits < ROUTER_TIMEOUT_S < INTEGRATION_TIMEOUT_S < GATEWAY_TIMEOUT_S
    assert CONNECT_TIMEOUT_S + waits <= ROUTER_TIMEOUT_S
    assert ROUTER_INIT_S + ROUTER_TIMEOUT_S <= INTEGRATION_TIMEOUT_S
    # The router says that a tier is late before its own time is over.
    assert CONNECT_TIMEOUT_S + MAX_TIER_TIMEOUT_S < REQUEST_S < ROUTER_TIMEOUT_S


def test_timeouts_of_texts_that_are_written_for_minutes_nest_as_well() -> None:
    waits = CONNECT_TIMEOUT_S + LAMBDA_INIT_S + MAX_CPU_WRITING_S + BACKEND_SLACK_S
    assert waits < STREAM_REQUEST_S < STREAM_ROUTER_TIMEOUT_S < STREAM_INTEGRATION_TIMEOUT_S
    assert ROUTER_INIT_S + STREAM_ROUTER_TIMEOUT_S <= STREAM_INTEGRATION_TIMEOUT_S
    assert MAX_GPU_WRITING_S + BACKEND_SLACK_S < SAGEMAKER_STREAM_S
    assert STREAM_QUIET_S < STREAM_IDLE_S < STREAM_CLIENT_TIMEOUT_S


@pytest.mark.parametrize("tier", list(Tier))
def test_a_tier_that_nobody_serves_cannot_be_reached(tier: Tier) -> None:
    with serving(Service()) as service:
        closed = service.address
    with pytest.raises(TargetFailed) as caught:
        invoke(closed, tier)
    assert caught.value.meaning is UNREACHED
    error = caught.value.error
    assert (type(error), error.retry_after_s) == (TierUnavailable, 5)
    assert_names(error.detail, (f"{tier} tier", "reached"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        {"outputs": []},
        {"outputs": "x", "version": "v", "elapsed_ms": 1},
    ],
    ids=["nothing", "html", "list", "null", "no version", "invalid type"],
)
@pytest.mark.parametrize("tier", list(Tier))
def test_an_answer_that_is_none_is_a_failure_of_the_tier(tier: Tier, body: Any) -> None:
    error = failure(Service(body=body), tier)
    assert error.code == "model_failed"
    assert "contract" in error.detail


def test_a_problem_in_the_answer_keeps_its_kind() -> None:
    error = failure(Service(body={"problem": problem_document(TooLarge("65 inputs"))}))
    assert (type(error), error.detail) == (TooLarge, "65 inputs")


def test_a_client_is_made_once_and_kept() -> None:
    made = []

    def make(service: str, config: Config) -> Any:
        made.append((service, config.read_timeout, config.retries))
        return client(opened.address, service, config)

    with serving(Service(body=GOOD)) as opened:
        backend = LambdaBackend(make)
        for timeout_s in (1, 1, 2):
            backend.predict(target(Tier.CPU, timeout_s=timeout_s), REQUEST)
    once = {"total_max_attempts": 1, "mode": "standard"}
    start = LAMBDA_INIT_S
    assert made == [("lambda", start + 2, once), ("lambda", start + 3, once)]


@pytest.mark.parametrize(
    ("left_s", "waits_s"), [(0.9, 1), (26.5, 32), (100, 128), (500, 512), (800, 851)]
)
def test_a_client_of_a_tier_that_writes_for_minutes_waits_as_its_caller_does(
    left_s: float, waits_s: int
) -> None:
    made = []

    def make(service: str, config: Config) -> None:
        made.append(config.read_timeout)

    due = replace(REQUEST, deadline=time.monotonic() + left_s)
    Clients("lambda", make).of(target(Tier.CPU, timeout_s=MAX_CPU_WRITING_S), due)
    assert made == [waits_s]
