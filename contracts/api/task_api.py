"""The description of a task's API, and the check of a request against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from contracts.api.json_schema import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    Schema,
    described,
    expectation,
    matches,
    obj,
)
from contracts.http_errors import RequestProblem, pointer

TOKENS = described(INTEGER, "The number of tokens that the model has read.")
TRUNCATED = described(BOOLEAN, "True if the text is longer than the model reads, and was cut.")
SCORE = described(NUMBER, "From 0 to 1.")
# A label with its score, as most tasks list them.
SCORED = obj({"label": STRING, "score": SCORE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The form of an input: its schema, and the words for it in "must be ..."."""

    schema: Schema
    expected: str


TEXT = Form(schema=STRING, expected="a text")


def object_of(*keys: str) -> Form:
    """Return the form of an object with a text for each key."""
    example = ", ".join(f'"{key}": "..."' for key in keys)
    return Form(schema=obj({key: STRING for key in keys}), expected="an object {" + example + "}")


def either(*forms: Form) -> Form:
    return Form(
        schema={"oneOf": [form.schema for form in forms]},
        expected=" or ".join(form.expected for form in forms),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of a task. `expected` are the words for its values where the schema alone does not give them."""

    name: str
    description: str
    schema: Schema
    default: Any = None
    required: bool = False
    expected: str = ""

    def value(self, parameters: Mapping[str, Any]) -> Any:
        """Return the value in a request's parameters, or the default."""
        return parameters.get(self.name, self.default)

    def limited(self, **limits: int) -> Self:
        """Return the parameter with limits that depend on the model."""
        return replace(self, schema={**self.schema, **limits})

    def problem(self, value: object) -> str | None:
        """Return the problem of a value; None if it is valid."""
        if matches(value, self.schema):
            return None
        verb = "is needed:" if self.required else "must be"
        return f"{verb} {self.expected or expectation(self.schema)}"

    def document(self) -> Schema:
        """Return the schema with the description and the default."""
        schema = described(self.schema, self.description)
        return schema if self.default is None else {**schema, "default": self.default}


# The name of the argument in sentence-transformers. A model's own names take the place of the schema.
PROMPT_NAME = Parameter(
    name="prompt_name",
    description="The name of a prompt that the model's own config defines; without it the model's default applies.",
    schema=STRING,
    expected="the name of one of the model's prompts",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A request with its outputs, one for each input."""

    request: Mapping[str, Any]
    outputs: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskApi:
    """The API of one task."""

    summary: str
    input: Form
    parameters: tuple[Parameter, ...] = ()
    output: Schema
    example: Example


def output(properties: Mapping[str, Schema], optional: Sequence[str] = ()) -> Schema:
    """Return the schema of an output: the task's own properties, and those that every output has."""
    return obj({**properties, "tokens": TOKENS, "truncated": TRUNCATED}, optional)


def input_problems(inputs: Sequence[object], form: Form) -> list[RequestProblem]:
    """Return a problem for each input that has another form."""
    return [
        RequestProblem(pointer=pointer("inputs", str(i)), detail=f"must be {form.expected}")
        for i, value in enumerate(inputs)
        if not matches(value, form.schema)
    ]


def parameter_problems(
    values: Mapping[str, Any], known: Sequence[Parameter]
) -> list[RequestProblem]:
    """Return a problem for each unknown or invalid parameter, and for each required one that is missing."""
    by_name = {parameter.name: parameter for parameter in known}
    details: dict[str, str | None] = {}
    for name, value in values.items():
        if parameter := by_name.get(name):
            details[name] = parameter.problem(value)
        else:
            details[name] = f"unknown; this task knows {', '.join(by_name) or 'no parameters'}"
    for parameter in known:
        if parameter.required and parameter.name not in values:
            # None is no value of any parameter, so this is the problem of one that is missing.
            details[parameter.name] = parameter.problem(None)
    return [
        RequestProblem(pointer=pointer("parameters", name), detail=detail)
        for name, detail in details.items()
        if detail
    ]
