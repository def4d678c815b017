"""The two fronts, each with the longest deadline that it takes."""

import json
from dataclasses import replace

import pytest

from contracts.http_errors import (
    DeadlineExceeded,
)
from contracts.limits import (
    MAX_CPU_WRITING_S,
    STREAM_INTEGRATION_TIMEOUT_S,
)
from contracts.tasks import Tier
from functions.router.http.front import STREAMED, Front
from tests.fixtures.router_app import (
    URLS,
    FakeTier,
    assert_problem,
    router,
    target,
)
from tests.functions.router.openai.deployment import ALL, WRITER

PREDICT = "/v1/models/writer/predict"
SLOW = replace(
    WRITER, targets={Tier.CPU: target(Tier.CPU, max_chars=1000, timeout_s=MAX_CPU_WRITING_S)}
)
ROUTES = replace(ALL, models={**ALL.models, "writer": SLOW})


def test_the_front_that_answers_whole_names_the_other_for_a_longer_deadline() -> None:
    tier = FakeTier()
    call = router({Tier.CPU: tier}, routes=ROUTES, front=Front(urls=URLS))
    asked = {"inputs": ["a"], "deadline_ms": 30_001}
    answer = call("POST", PREDICT, json.dumps(asked))
    assert_problem(answer, 422, "invalid-input", "/deadline_ms", "30000", URLS[STREAMED], "15 min")
    assert tier.requests == []
    fits = call("POST", PREDICT, json.dumps({**asked, "deadline_ms": 30_000}))
    assert fits["statusCode"] == 200


def test_a_deployment_that_streams_nothing_has_no_longer_deadline() -> None:
    call = router({Tier.CPU: FakeTier()}, routes=ROUTES)
    answer = call("POST", PREDICT, json.dumps({"inputs": ["a"], "deadline_ms": 30_001}))
    assert_problem(answer, 422, "invalid-input", "/deadline_ms", "at most 30000 here")
    assert "minutes" not in answer["body"]


@pytest.mark.parametrize(("model", "named"), [("writer", True), ("support-intent", False)])
def test_a_text_that_was_not_written_in_time_names_the_front_that_has_more(
    model: str, named: bool
) -> None:
    late = FakeTier(error=DeadlineExceeded("the cpu tier ran out of its time"))
    call = router({Tier.CPU: late, Tier.GPU: late}, routes=ROUTES, front=Front(urls=URLS))
    answer = call("POST", f"/v1/models/{model}/predict", json.dumps({"inputs": ["a"]}))
    assert_problem(answer, 504, "deadline-exceeded", "ran out of its time")
    assert (URLS[STREAMED] in answer["body"]) is named


@pytest.mark.parametrize(
    ("front", "longest"),
    [(Front(), 30_000), (Front(streams=True, gateway_s=STREAM_INTEGRATION_TIMEOUT_S), 900_000)],
)
def test_each_front_describes_its_own_longest_deadline(front: Front, longest: int) -> None:
    call = router({}, routes=ROUTES, front=front)
    document = json.loads(call("GET", "/openapi.json", key=None)["body"])
    assert document["components"]["schemas"]["Deadline"]["maximum"] == longest
