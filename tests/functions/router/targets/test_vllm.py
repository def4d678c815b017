"""Requests to vLLM and its answers, and how its containers refuse."""

import json
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import pytest

from contracts.http_errors import InvalidInput, ModelFailed
from contracts.prediction import PredictRequest, TierAnswer
from contracts.streaming import Delta
from contracts.tasks import Tier
from functions.router.targets.backends import SageMakerBackend
from functions.router.targets.failures import TargetFailed
from functions.router.targets.health import Condition
from functions.router.targets.vllm import body_of, predict, stream
from tests.fixtures.fake_aws import client, failure, model_error
from tests.functions.router.openai.streaming_server import Script, broken, part, streaming
from tests.functions.router.targets.vllm_chunks import (
    CHAT,
    DONE,
    STREAMED,
    TARGET,
    WHOLE,
    Calls,
    last,
    piece,
    said,
)


def test_a_text_is_a_completion_in_the_parameters_of_every_tier() -> None:
    parameters = {
        "max_new_tokens": 9,
        "temperature": 0.7,
        "top_k": 5,
        "top_p": 0.9,
        "repetition_penalty": 1.1,
        "seed": 2**64 - 1,
        "stop": ["."],
    }
    asked = PredictRequest(inputs=("a",), parameters=parameters, passed={"logprobs": 2})
    assert body_of(asked, "a") == {
        "prompt": "a",
        "max_tokens": 9,
        "temperature": 0.7,
        "top_k": 5,
        "top_p": 0.9,
        "repetition_penalty": 1.1,
        "seed": 2**63 - 1,
        "stop": ["."],
        "logprobs": 2,
        **STREAMED,
    }


@pytest.mark.parametrize(
    ("given", "parameters", "body"),
    [
        ("a", {}, {"prompt": "a", "max_tokens": 64}),
        ("a", {"do_sample": False}, {"prompt": "a", "max_tokens": 64, "temperature": 0}),
        ("a", {"do_sample": True}, {"prompt": "a", "max_tokens": 64}),
        # All that the model has room for, as on our own tiers.
        (CHAT, {}, CHAT),
        (CHAT, {"max_new_tokens": 8}, {**CHAT, "max_tokens": 8}),
    ],
)
def test_what_is_left_out_is_the_default_of_every_tier(
    given: Any, parameters: dict[str, Any], body: dict[str, Any]
) -> None:
    asked = PredictRequest(inputs=(given,), parameters=parameters)
    assert body_of(asked, given) == {**body, **STREAMED}


def test_the_answer_is_that_of_any_tier() -> None:
    clock = (tick / 10 for tick in count()).__next__
    answer = predict(TARGET, PredictRequest(inputs=("a",)), Calls([WHOLE]), clock)
    output = {
        "generated_text": " Paris.",
        "finish_reason": "eos_token",
        "generated_tokens": 3,
        "tokens": 3,
        "truncated": False,
    }
    assert answer == TierAnswer(outputs=(output,), version=TARGET.version, elapsed_ms=500.0)


def test_each_input_is_a_call_of_its_own_and_answers_keep_their_order() -> None:
    def open_(body: dict[str, Any]) -> Generator[bytes, None, None]:
        yield from (piece(body["prompt"] * 2, 2, "length"), DONE)

    inputs = tuple("abcdefghijkl")
    answer = predict(TARGET, PredictRequest(inputs=inputs), open_)
    assert [one["generated_text"] for one in answer.outputs] == [text * 2 for text in inputs]
    assert {one["finish_reason"] for one in answer.outputs} == {"length"}


def test_a_stream_brings_one_input_after_the_other_and_the_answer_last() -> None:
    calls = Calls(
        [
            WHOLE,
            (
                said({"role": "assistant", "content": ""}),
                said({"content": "no"}, "stop"),
                last(9, 1),
                DONE,
            ),
        ]
    )
    *deltas, answer = stream(TARGET, PredictRequest(inputs=("a", CHAT)), calls)
    texts = [" Pa", "ris", "."]
    assert deltas == [*(Delta(index=0, text=text) for text in texts), Delta(index=1, text="no")]
    assert isinstance(answer, TierAnswer)
    assert [one["generated_text"] for one in answer.outputs] == [" Paris.", "no"]
    assert [(one["tokens"], one["generated_tokens"]) for one in answer.outputs] == [(3, 3), (9, 1)]
    assert [body["stream"] for body in calls.bodies] == [True, True]


def test_a_stream_that_nobody_reads_on_is_closed() -> None:
    calls = Calls([WHOLE])
    written = stream(TARGET, PredictRequest(inputs=("a",)), calls)
    assert (next(written), calls.open) == (Delta(index=0, text=" Pa"), 1)
    written.close()
    assert calls.open == 0


def test_the_prompt_is_in_front_where_it_is_wanted() -> None:
    asked = PredictRequest(inputs=("is it",), parameters={"return_full_text": True})
    *deltas, answer = stream(TARGET, asked, Calls([WHOLE]))
    assert isinstance(answer, TierAnswer)
    assert answer.outputs[0]["generated_text"] == "is it Paris."
    assert "".join(one.text for one in deltas if isinstance(one, Delta)) == "is it Paris."


def test_what_was_written_by_the_deadline_is_the_answer() -> None:
    clock = (float(tick) for tick in count()).__next__
    asked = replace(PredictRequest(inputs=("a",)), deadline_ms=2_000)
    endless = (piece("no ", written) for written in count(1))
    calls = Calls([endless])
    (output,) = predict(TARGET, asked, calls, clock).outputs
    assert (output["generated_text"], output["finish_reason"]) == ("no no ", "time")
    assert (output["tokens"], output["generated_tokens"]) == (3, 2)
    # The connection is closed, so that the container stops writing.
    assert calls.open == 0


def test_a_text_that_has_ended_in_time_keeps_its_reason() -> None:
    clock = (float(tick) for tick in count()).__next__
    asked = replace(PredictRequest(inputs=("a",)), deadline_ms=2_000)
    assert (
        predict(TARGET, asked, Calls([WHOLE[2:]]), clock).outputs[0]["finish_reason"] == "eos_token"
    )


@pytest.mark.parametrize("ask_", [predict, stream])
def test_parameters_that_no_tier_takes_are_refused_before_the_call(
    ask_: Callable[..., Any],
) -> None:
    asked = PredictRequest(inputs=("a",), parameters={"temperature": -1, "best": 2})
    calls = Calls([])
    with pytest.raises(InvalidInput) as caught:
        list(ask_(TARGET, asked, calls).outputs if ask_ is predict else ask_(TARGET, asked, calls))
    assert [one.pointer for one in caught.value.problems] == [
        "/parameters/temperature",
        "/parameters/best",
    ]
    assert calls.bodies == []


def test_a_container_of_vllm_says_what_is_wrong_with_a_request() -> None:
    body = {"error": {"message": "temperature must be non-negative", "param": "temperature"}}
    error = failure(model_error(400, json.dumps(body)), Tier.GPU)
    assert (type(error), error.detail) == (InvalidInput, "temperature must be non-negative")
    assert [one.pointer for one in error.problems] == ["/temperature"]


@pytest.mark.parametrize("message", ["", "[]", '{"detail": "none of theirs"}'])
def test_another_container_that_refuses_a_request_has_failed(message: str) -> None:
    error = failure(model_error(400, message), Tier.GPU)
    assert (type(error), "status 400" in error.detail) == (ModelFailed, True)


ASKED = PredictRequest(inputs=("a",), parameters={"max_new_tokens": 3}, stream=True)
# As SageMaker cuts them: anywhere.
PARTS = [part(Tier.GPU, b"".join(WHOLE)[i : i + 100]) for i in range(0, len(b"".join(WHOLE)), 100)]


def backend(script: Script) -> SageMakerBackend:
    return SageMakerBackend(partial(client, script.address), lambda target: "")


def test_a_whole_answer_is_read_from_a_stream() -> None:
    with streaming(Script(PARTS)) as script:
        answer = backend(script).predict(TARGET, ASKED)
    assert answer.outputs[0]["generated_text"] == " Paris."
    path = "/endpoints/the-gpu/invocations-response-stream"
    assert script.seen == [(path, {"prompt": "a", "max_tokens": 3, **STREAMED})]


def test_a_stream_is_passed_on_as_it_comes() -> None:
    with streaming(Script(PARTS)) as script:
        *deltas, answer = backend(script).stream(TARGET, ASKED)
    assert deltas == [Delta(index=0, text=text) for text in (" Pa", "ris", ".")]
    assert isinstance(answer, TierAnswer)


def test_the_inputs_of_a_request_are_asked_for_at_once() -> None:
    with streaming(Script(PARTS)) as script:
        asked = PredictRequest(inputs=("a", "b", "c"))
        answer = backend(script).predict(TARGET, asked)
    assert [one["generated_text"] for one in answer.outputs] == [" Paris."] * 3
    assert sorted(body["prompt"] for _, body in script.seen) == ["a", "b", "c"]


def test_a_refused_request_is_at_fault_itself() -> None:
    error = {"error": {"message": "top_p must be in (0, 1]", "param": "top_p", "code": 400}}
    body = {"OriginalStatusCode": 400, "OriginalMessage": json.dumps(error), "Message": ""}
    script = Script([json.dumps(body).encode()], 424, {"x-amzn-ErrorType": "ModelError"})
    with streaming(script), pytest.raises(TargetFailed) as caught:
        backend(script).predict(TARGET, ASKED)
    assert (type(caught.value.error), caught.value.meaning.condition) == (
        InvalidInput,
        Condition.READY,
    )


def test_a_stream_that_sagemaker_breaks_off_has_failed() -> None:
    steps = [*PARTS[:2], broken("ModelStreamError", Message="secret", ErrorCode="x")]
    with streaming(Script(steps)) as script, pytest.raises((TargetFailed, ModelFailed)):
        list(backend(script).stream(TARGET, ASKED))
