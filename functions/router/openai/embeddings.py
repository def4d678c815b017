"""`POST /v1/embeddings`: the vectors of texts.

https://platform.openai.com/docs/api-reference/embeddings
"""

import base64
from array import array as packed
from collections.abc import Mapping
from typing import Any

from contracts.api.feature_extraction import DIMENSIONS, dimensions_of
from contracts.api.json_schema import choice
from contracts.api.task_api import PROMPT_NAME, Parameter
from contracts.prediction import TierAnswer
from contracts.routes import Route
from contracts.tasks import Task
from functions.router.openai.errors import refused
from functions.router.openai.operation import MODEL, USER, Operation, texts

KEYS = (
    MODEL,
    texts("input", "The text, or several."),
    Parameter(
        name="encoding_format",
        description="Vectors as lists of numbers, or as the base64 of their float32 in little-endian order.",
        schema=choice("float", "base64"),
        default="float",
    ),
    DIMENSIONS,
    PROMPT_NAME,
    USER,
)
# Those that are parameters of ours, by the same names.
OURS = (DIMENSIONS.name, PROMPT_NAME.name)


def translate(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request of ours."""
    parameters = {name: given[name] for name in OURS if name in given}
    return {"inputs": given["input"], "parameters": parameters}


def check(given: Mapping[str, Any], route: Route) -> None:
    """Raise InvalidInput for a number of dimensions that the model was not proved with."""
    known = dimensions_of(route.dimensions, route.shorter_dimensions)
    if problem := known.problem(given.get(known.name, route.dimensions)):
        raise refused(known.name, problem)


def answer(given: Mapping[str, Any], route: Route, answer: TierAnswer) -> dict[str, Any]:
    """Return the vectors in the order of the texts."""
    packs = given.get("encoding_format") == "base64"
    read = sum(output["tokens"] for output in answer.outputs)
    data = [
        {"object": "embedding", "index": i, "embedding": _base64(vector) if packs else vector}
        for i, vector in enumerate(output["embedding"] for output in answer.outputs)
    ]
    return {
        "object": "list",
        "data": data,
        "model": route.model,
        "usage": {"prompt_tokens": read, "total_tokens": read},
    }


def _base64(vector: list[float]) -> str:
    # Lambda's processors are little-endian, both of them.
    return base64.b64encode(packed("f", vector).tobytes()).decode()


EMBEDDINGS = Operation(
    tasks=(Task.FEATURE_EXTRACTION,),
    inputs={"/inputs": "input"},
    keys=KEYS,
    absent={},
    names={},
    translate=translate,
    check=check,
    answer=answer,
)
