"""The part of JSON Schema (2020-12) that describes inputs, parameters and outputs: constructors and a check.

https://json-schema.org/draft/2020-12/json-schema-validation
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Schema = dict[str, Any]

BOOLEAN: Schema = {"type": "boolean"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
STRING: Schema = {"type": "string"}
# JSON has numbers of any size; a float64 holds those up to 1.8e308.
MAX_NUMBER = 1e300


def integer(minimum: int, maximum: int | None = None) -> Schema:
    return {**INTEGER, "minimum": minimum, **({} if maximum is None else {"maximum": maximum})}


def choice(*values: str) -> Schema:
    return {"enum": list(values)}


def array(items: Schema, **limits: Any) -> Schema:
    return {"type": "array", "items": items, **limits}


def obj(properties: Mapping[str, Schema], optional: Sequence[str] = ()) -> Schema:
    """Return the schema of an object with these properties and no others; those not `optional` are required."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def described(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def matches(value: object, schema: Schema) -> bool:
    """Return True if the value is valid.

    Python's True is an int and its 1.0 equals 1, so types are checked strictly: an integer is written without a point.
    """
    if "oneOf" in schema:
        # The alternatives have different types, so a value that matches one of them matches no other.
        return any(matches(value, one) for one in schema["oneOf"])
    if "enum" in schema:
        return type(value) in (str, int) and value in schema["enum"]
    match schema["type"]:
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool) and _within(value, schema)
        case "number":
            return _is_number(value) and _within(value, schema)
        case "string":
            return isinstance(value, str) and _is_text(value, schema)
        case "array":
            return isinstance(value, list) and _is_array(value, schema)
    return isinstance(value, Mapping) and _is_object(value, schema)


def expectation(schema: Schema) -> str:
    """Return the words for the values of a schema, as in "must be a whole number from 1 to 20"."""
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if schema["type"] == "boolean":
        return "true or false"
    noun = "a whole number" if schema["type"] == "integer" else "a number"
    low, high = schema.get("minimum"), schema.get("maximum")
    if (above := schema.get("exclusiveMinimum")) is not None:
        return f"{noun} above {above}" + ("" if high is None else f" and at most {high}")
    return f"{noun} from {low} up" if high is None else f"{noun} from {low} to {high}"


def _is_number(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < MAX_NUMBER  # type: ignore[arg-type]


def _within(value: Any, schema: Schema) -> bool:
    return bool(
        ("minimum" not in schema or value >= schema["minimum"])
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("maximum" not in schema or value <= schema["maximum"])
    )


def _is_text(value: str, schema: Schema) -> bool:
    # The length first: a search of megabytes takes seconds.
    return schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)) and bool(
        # JSON Schema does not anchor patterns, so they are searched for and not matched (Validation, section 6.3.3).
        re.search(schema.get("pattern", ""), value)
    )


def _is_array(value: list[Any], schema: Schema) -> bool:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        return False
    if not all(matches(item, schema["items"]) for item in value):
        return False
    # Only arrays of strings are declared unique, so their items can be put into a set.
    return not schema.get("uniqueItems") or len(set(value)) == len(value)


def _is_object(value: Mapping[str, Any], schema: Schema) -> bool:
    properties = schema["properties"]
    return (
        set(value) <= set(properties)
        and set(value) >= set(schema["required"])
        and all(matches(item, properties[key]) for key, item in value.items())
    )
