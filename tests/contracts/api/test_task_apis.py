"""The API of every task: valid schemas, defaults within the limits, and examples that are what they describe."""

import pytest
from jsonschema import Draft202012Validator

from contracts.api.json_schema import BOOLEAN, integer
from contracts.api.registry import APIS
from contracts.api.task_api import (
    TEXT,
    Parameter,
    either,
    input_problems,
    object_of,
    parameter_problems,
)
from contracts.prediction import parse_request
from contracts.tasks import Task
from tests.fixtures.problems import assert_request_problems
from tests.fixtures.schema_checks import assert_described

TOP_K = Parameter(name="top_k", description="", schema=integer(1, 3))
FLAG = Parameter(name="flag", description="", schema=BOOLEAN, default=False)
NEEDED = Parameter(
    name="query", description="", schema={"type": "string"}, required=True, expected="a query"
)


def test_every_task_has_an_api() -> None:
    assert list(APIS) == list(Task)


@pytest.mark.parametrize("task", Task)
def test_schemas_are_json_schemas(task: Task) -> None:
    api = APIS[task]
    for schema in (api.input.schema, api.output, *(p.document() for p in api.parameters)):
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("task", Task)
def test_a_default_is_a_value_that_is_taken(task: Task) -> None:
    for parameter in APIS[task].parameters:
        assert parameter.default is None or parameter.problem(parameter.default) is None
        assert not (parameter.required and parameter.default is not None)
        assert parameter.description.endswith(".")


@pytest.mark.parametrize("task", Task)
def test_the_example_is_a_request_with_an_output_for_each_input(task: Task) -> None:
    api = APIS[task]
    request = parse_request(dict(api.example.request))
    assert input_problems(request.inputs, api.input) == []
    assert parameter_problems(request.parameters, api.parameters) == []
    assert len(api.example.outputs) == len(request.inputs)
    assert_described(task, api.example.outputs)


@pytest.mark.parametrize("task", Task)
def test_an_output_of_another_form_is_not_described(task: Task) -> None:
    (output, *_) = APIS[task].example.outputs
    for other in ({**output, "surplus": 1}, {"truncated": False}):
        with pytest.raises(AssertionError):
            assert_described(task, [other])


def test_every_problem_of_the_parameters_is_reported_in_the_order_of_the_request() -> None:
    values = {"flag": 1, "topk": 1, "top_k": 4}
    found = parameter_problems(values, (TOP_K, FLAG, NEEDED))
    assert_request_problems(
        found,
        ("/parameters/flag", "true or false"),
        ("/parameters/topk", "unknown", "top_k, flag, query"),
        ("/parameters/top_k", "from 1 to 3"),
        ("/parameters/query", "a query"),
    )
    assert parameter_problems({"top_k": 3, "query": "x"}, (TOP_K, FLAG, NEEDED)) == []
    found = parameter_problems({"top_k": 1}, ())
    assert_request_problems(found, ("/parameters/top_k", "unknown", "no parameters"))


def test_a_limit_of_the_model_takes_the_place_of_the_general_one() -> None:
    limited = TOP_K.limited(maximum=2)
    assert TOP_K.problem(3) is None
    assert "from 1 to 2" in str(limited.problem(3))
    assert limited.document() == {"type": "integer", "minimum": 1, "maximum": 2, "description": ""}


def test_a_parameter_that_is_left_out_has_its_default() -> None:
    assert (FLAG.value({}), FLAG.value({"flag": True}), TOP_K.value({})) == (False, True, None)
    assert FLAG.document()["default"] is False


def test_an_input_of_another_form_is_reported_with_its_place() -> None:
    form = either(TEXT, object_of("text", "text_pair"))
    inputs = (
        "a",
        {"text": "a", "text_pair": "b"},
        {"text": "a"},
        {"text": "a", "text_pair": ["b"]},
    )
    expected = ("a text", '{"text": "...", "text_pair": "..."}')
    found = input_problems(inputs, form)
    assert_request_problems(found, ("/inputs/2", *expected), ("/inputs/3", *expected))
