"""The check of a value against a schema, beside the library that implements all of JSON Schema."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts.api.json_schema import (
    BOOLEAN,
    NUMBER,
    STRING,
    Schema,
    array,
    choice,
    expectation,
    integer,
    matches,
    obj,
)
from contracts.api.zero_shot_classification import HYPOTHESIS_TEMPLATE

WORDS = {"oneOf": [STRING, array(STRING)]}
SCHEMAS: dict[str, Schema] = {
    "boolean": BOOLEAN,
    "integer from 1": integer(1),
    "integer to 3": integer(-2, 3),
    "number": NUMBER,
    "positive": {**NUMBER, "exclusiveMinimum": 0},
    "share": {**NUMBER, "minimum": 0, "maximum": 1},
    "string": STRING,
    "not blank": {**STRING, "pattern": r"\S"},
    "not empty": {**STRING, "minLength": 1},
    "template": HYPOTHESIS_TEMPLATE.schema,
    "choice": choice("cpu", "gpu"),
    "choice of numbers": {"enum": [1, 3]},
    "texts": array({**STRING, "minLength": 1}, minItems=1, maxItems=2),
    "labels": array(STRING, uniqueItems=True),
    "word or words": WORDS,
    "object": obj({"positive": WORDS, "negative": WORDS}, optional=("negative",)),
}
VALUES: tuple[Any, ...] = (
    *(True, False, None),
    *(0, 1, 3, 4, -2, -3, 0.5, 1.5, -0.5),
    *("", " ", "cpu", "tpu", "a {} b", "{}", "{}{}", "{{}}", "{\n}", "line\n{}\nline\n"),
    *("x" * 998 + "{}", "x" * 999 + "{}"),
    *([], ["a"], ["a", "a"], ["a", "b", "c"], [""], [1], ["a", 1]),
    *({}, {"positive": "a"}, {"positive": ["a"], "negative": []}, {"negative": "a"}),
    *({"positive": 1}, {"positive": "a", "other": "b"}),
)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_value_is_valid_where_json_schema_has_it_so(name: str) -> None:
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    library = Draft202012Validator(schema)
    assert [matches(value, schema) for value in VALUES] == [library.is_valid(v) for v in VALUES]


def test_a_number_is_one_that_a_float_holds_and_an_integer_has_no_point() -> None:
    assert matches(1e299, NUMBER)
    assert not matches(10**400, NUMBER)
    assert not matches(float("nan"), NUMBER)
    assert not matches(float("inf"), NUMBER)
    assert not matches(1.0, integer(1))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("boolean", "true or false"),
        ("integer from 1", "a whole number from 1 up"),
        ("integer to 3", "a whole number from -2 to 3"),
        ("positive", "a number above 0"),
        ("share", "a number from 0 to 1"),
        ("choice", "one of cpu, gpu"),
    ],
)
def test_a_schema_has_words_for_what_it_expects(name: str, words: str) -> None:
    assert expectation(SCHEMAS[name]) == words


def test_a_range_may_leave_out_its_lower_end() -> None:
    schema = {**NUMBER, "exclusiveMinimum": 0, "maximum": 1}
    assert expectation(schema) == "a number above 0 and at most 1"
