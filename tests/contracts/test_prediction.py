"""Requests and answers, as they come over the wire."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from contracts.http_errors import (
    InvalidInput,
)
from contracts.limits import LAMBDA_PAYLOAD_BYTES, vectors_per_answer
from contracts.prediction import OPTIONS, PredictRequest, Prefer, TierAnswer, parse_request
from contracts.tasks import Tier
from tests.fixtures.problems import assert_request_problems, raises


def test_a_text_alone_is_a_list_of_one() -> None:
    assert parse_request({"inputs": "hi"}) == PredictRequest(inputs=("hi",))


def test_every_option_is_taken_and_null_is_as_good_as_missing() -> None:
    options = {
        "tier": "gpu",
        "version": "f00dfeed0000",
        "deadline_ms": 30_000,
        "prefer": "quality",
        "allow_degraded": False,
        "idempotent": False,
        "client": "user 7",
    }
    assert set(options) == set(OPTIONS)
    assert parse_request({"inputs": "a", **options}) == PredictRequest(
        inputs=("a",),
        tier=Tier.GPU,
        version="f00dfeed0000",
        deadline_ms=30_000,
        prefer=Prefer.QUALITY,
        allow_degraded=False,
        idempotent=False,
        client="user 7",
    )
    nulls = parse_request({"inputs": "a", **dict.fromkeys(options)})
    assert nulls == PredictRequest(inputs=("a",))


def test_a_tier_receives_the_time_that_its_caller_still_waits_and_no_other_option() -> None:
    request = PredictRequest(inputs=("a",), tier=Tier.GPU, prefer=Prefer.FAST)
    assert request.to_wire() == {"inputs": ["a"], "parameters": {}}
    received = parse_request(replace(request, deadline_ms=900).to_wire())
    assert received == PredictRequest(inputs=("a",), deadline_ms=900)


@pytest.mark.parametrize(
    ("deadline_ms", "most_s", "deadline"),
    [
        (None, math.inf, math.inf),
        (None, 2, 102),
        (500, 2, 100.5),
        (3000, 2, 102),
        (500, math.inf, 100.5),
    ],
)
def test_a_request_is_due_when_its_caller_leaves_or_the_tier_stops(
    deadline_ms: int | None, most_s: float, deadline: float
) -> None:
    request = PredictRequest(inputs=("a",), deadline_ms=deadline_ms)
    assert request.due(100, most_s) == replace(request, deadline=deadline)


def test_parameters_and_tier_are_taken() -> None:
    request = parse_request({"inputs": ["a", "bc"], "parameters": {"top_k": 2}, "tier": "gpu"})
    assert request == PredictRequest(inputs=("a", "bc"), parameters={"top_k": 2}, tier=Tier.GPU)
    assert request.chars == 3
    assert request.to_wire() == {"inputs": ["a", "bc"], "parameters": {"top_k": 2}}


@pytest.mark.parametrize(
    ("document", "problems"),
    [
        ({}, [("/inputs", "missing")]),
        ({"inputs": []}, [("/inputs", "empty")]),
        ({"inputs": 3}, [("/inputs", "must be", "list")]),
        ({"inputs": ["ok", 3, " "]}, [("/inputs/1", "must be"), ("/inputs/2", "empty")]),
        ({"inputs": "\ud800"}, [("/inputs/0", "surrogate")]),
        ({"inputs": "a", "tier": "tpu"}, [("/tier", '"cpu"', '"gpu"')]),
        ({"inputs": "a", "tier": ["cpu"]}, [("/tier", '"cpu"', '"gpu"')]),
        ({"inputs": "a", "version": " "}, [("/version", "a version")]),
        ({"inputs": "a", "version": 1}, [("/version", "a version")]),
        ({"inputs": "a", "prefer": "best"}, [("/prefer", '"fast"', '"quality"', '"cheap"')]),
        ({"inputs": "a", "prefer": {}}, [("/prefer", '"fast"')]),
        *(
            ({"inputs": "a", "deadline_ms": value}, [("/deadline_ms", "from 1 to 900000")])
            for value in (0, -1, 900_001, 1.5, True, "100")
        ),
        ({"inputs": "a", "allow_degraded": 0}, [("/allow_degraded", "true or false")]),
        ({"inputs": "a", "idempotent": "no"}, [("/idempotent", "true or false")]),
        ({"inputs": "a", "parameters": [1]}, [("/parameters", "object")]),
        (
            {"input": "a", "tier": 1},
            [
                ("/input", "unknown", "inputs, parameters, tier, version, deadline_ms"),
                ("/inputs", "missing"),
                ("/tier", '"cpu"', '"gpu"'),
            ],
        ),
    ],
)
def test_every_problem_of_a_request_is_listed(
    document: Any, problems: list[tuple[str, ...]]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_request(document)
    assert_request_problems(caught.value.problems, *problems)


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_what_is_no_object_is_no_request(document: Any) -> None:
    with raises("invalid_input", "JSON object"):
        parse_request(document)


def test_no_more_than_twenty_problems_are_listed() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_request({"inputs": [1] * 100})
    assert "99 more" in caught.value.detail
    assert len(caught.value.problems) == 20


@pytest.mark.parametrize(
    ("inputs", "place"),
    [
        ({"\ud800": "a"}, "/inputs/0/\\ud800"),
        ({"text": "a", "text_pair": "b\udc00"}, "/inputs/0/text_pair"),
        ({"positive": ["king", "\ud800x"]}, "/inputs/0/positive"),
    ],
    ids=["a key", "a text", "a text of a list"],
)
def test_half_a_surrogate_pair_is_a_problem_wherever_it_stands_in_an_input(
    inputs: Any, place: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_request({"inputs": inputs})
    assert_request_problems(caught.value.problems, (place, "surrogate"))


def nested(levels: int) -> Any:
    value: Any = "deep"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("parameters", "problems"),
    [
        ({"candidate_labels": ["a", "\ud800"]}, [("/parameters/candidate_labels/1", "surrogate")]),
        ({"a": {"\udfff": 1}}, [("/parameters/a", "key", "surrogate")]),
        ({"\udfff": 1}, [("/parameters", "key", "surrogate")]),
        ({"top_k": math.inf}, [("/parameters/top_k", "finite")]),
        (
            {"a": [1, math.nan], "b": -math.inf},
            [("/parameters/a/1", "finite"), ("/parameters/b", "finite")],
        ),
        ({"a": nested(7)}, [("/parameters/a/0/0/0/0/0/0/0", "8 deep")]),
        ({"a": nested(100_000)}, [("/parameters/a/0/0/0/0/0/0/0", "8 deep")]),
        ({"a": [0] * 10_000}, [("/parameters", "10000 values")]),
        ({"a": [[0] * 5_000, [0] * 5_000]}, [("/parameters", "10000 values")]),
    ],
    ids=["label", "key", "top key", "infinity", "several", "deep", "deeper", "wide", "wide twice"],
)
def test_what_no_parameter_may_hold_is_a_problem_in_its_place(
    parameters: Any, problems: list[tuple[str, ...]]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_request({"inputs": "a", "parameters": parameters})
    assert_request_problems(caught.value.problems, *problems)


def test_parameters_at_the_limits_are_taken_and_can_be_sent_on() -> None:
    for parameters in ({"a": nested(6)}, {"a": [0] * 9_998}, {"a": 10**4299, "b": -0.0}):
        request = parse_request({"inputs": "a", "parameters": parameters})
        assert json.loads(json.dumps(request.to_wire()))["parameters"] == parameters


def test_the_texts_of_parameters_count_as_characters() -> None:
    parameters = {
        "candidate_labels": ["abc", "de"],
        "hypothesis_template": "{}",
        "multi_label": True,
    }
    assert parse_request({"inputs": "a", "parameters": parameters}).chars == 8


def test_a_million_problems_cost_no_more_than_a_thousand() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_request({"inputs": [[]] * 1_000_000})
    assert "at least 999 more problems" in caught.value.detail
    assert len(caught.value.problems) == 20


def test_an_answer_survives_the_wire() -> None:
    answer = TierAnswer(outputs=({"label": "a"},), version="1", elapsed_ms=2.0)
    assert TierAnswer.from_wire(json.loads(json.dumps(answer.to_wire()))) == answer


def test_an_input_may_be_an_object_of_texts() -> None:
    pair = {"question": "Who?", "context": "Ada was."}
    many = {"positive": ["king", "woman"], "negative": ["man"]}
    assert parse_request({"inputs": pair}).inputs == (pair,)
    request = parse_request({"inputs": [pair, "text", many]})
    assert request.to_wire()["inputs"] == [pair, "text", many]
    assert request.chars == 12 + 4 + 12
    assert PredictRequest(inputs=({"odd": 3},)).chars == 0


@pytest.mark.parametrize(
    ("value", "pointer", "detail"),
    [
        ({}, "/inputs/1", "empty object"),
        ({"question": "Who?", "context": " "}, "/inputs/1/context", "empty text"),
        ({"positive": ["king", 3]}, "/inputs/1/positive", "must be"),
        ({"a/b": None}, "/inputs/1/a~1b", "must be"),
    ],
)
def test_an_invalid_part_of_an_object_is_named(value: object, pointer: str, detail: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_request({"inputs": ["fine", value]})
    assert_request_problems(caught.value.problems, (pointer, detail))


@pytest.mark.parametrize("document", [None, [], {}, {"outputs": 3}, {"outputs": [], "version": 1}])
def test_an_answer_in_other_words_is_a_failure_of_the_model(document: Any) -> None:
    with raises("model_failed", "contract"):
        TierAnswer.from_wire(document)


def test_the_largest_batch_of_vectors_fits_one_answer_even_at_its_widest() -> None:
    count = vectors_per_answer(384)
    widest = [-1.2345678911234567e-05] * 384
    answer = TierAnswer(
        outputs=({"embedding": widest, "tokens": 512, "truncated": False},) * count,
        version="0" * 12,
        elapsed_ms=1234.567,
    )
    size = len(json.dumps(answer.to_wire()))
    assert size < LAMBDA_PAYLOAD_BYTES
    assert 782 > count > 600
