"""The head of an encoder's task: the texts of an input, and the output from the graph's results for them.

The result of a whole text is a plain list, because for the few numbers of a request Python is faster than numpy, whose
calls have a fixed cost. The results of its tokens are an array [tokens, width].
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Encoding, Tokenizer

from contracts.errors import RequestProblem, pointer
from contracts.limits import LAMBDA_PAYLOAD_BYTES
from contracts.manifest import Manifest
from contracts.prediction import Input, PredictRequest

Parameters = Mapping[str, Any]
Output = dict[str, Any]
Text = str | tuple[str, str]

ANSWER_BYTES = LAMBDA_PAYLOAD_BYTES - 1024
# The JSON of an output besides its scores or floats: keys, token count, the flag, the best label's score.
OUTPUT_BYTES = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The values that an output may depend on besides the results."""

    manifest: Manifest
    parameters: Parameters
    tokenizer: Tokenizer


def one_text(value: Input, parameters: Parameters) -> list[Text]:
    """Return the input itself; a pair if it is an object of `text` and `text_pair`."""
    if isinstance(value, str):
        return [value]
    return [(value["text"], value["text_pair"])]


def unlimited(manifest: Manifest, parameters: Parameters) -> None:
    """Return None: the size of the answer is known only once it is there, and is checked then."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskHead:
    """One task of an encoder.

    `problems` lists the problems of a request, `max_outputs` says how many outputs always fit one answer, `texts` are
    those that one input needs the model to run, `postprocess` makes the output from their results, and `finish` may
    compare the outputs of a request. The graph's output has `output_rank` axes, the last of them `output_width` long.
    A long text is truncated by the strategy `truncation`, or with `windows` run whole in overlapping windows.
    """

    problems: Callable[[PredictRequest, Manifest], list[RequestProblem]]
    postprocess: Callable[[Input, Sequence[Encoding], Sequence[Any], Context], Output]
    output_width: Callable[[Manifest], int]
    max_outputs: Callable[[Manifest, Parameters], int | None] = unlimited
    texts: Callable[[Input, Parameters], list[Text]] = one_text
    finish: Callable[[list[Output]], None] | None = None
    output_rank: int = 2
    truncation: str = "longest_first"
    windows: bool = False


def softmax(logits: Sequence[float]) -> list[float]:
    """Return the softmax of a row, without overflow."""
    highest = max(logits)
    powers = [math.exp(logit - highest) for logit in logits]
    total = math.fsum(powers)
    return [power / total for power in powers]


def sigmoid(logit: float) -> float:
    """Return the sigmoid of a logit, without overflow."""
    power = math.exp(-abs(logit))
    return 1 / (1 + power) if logit >= 0 else power / (1 + power)


def unknown(parameters: Parameters, *known: str) -> list[RequestProblem]:
    detail = f"unknown; this task knows {', '.join(known) or 'no parameters'}"
    return [
        RequestProblem(pointer=pointer("parameters", key), detail=detail)
        for key in parameters
        if key not in known
    ]


def whole_number(parameters: Parameters, key: str, low: int, high: int) -> list[RequestProblem]:
    """Return a problem if the parameter is given and is no whole number in that range."""
    value = parameters.get(key, low)
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return []
    detail = f"must be a whole number from {low} to {high}"
    return [RequestProblem(pointer=pointer("parameters", key), detail=detail)]


def unit_interval(parameters: Parameters, key: str) -> list[RequestProblem]:
    """Return a problem if the parameter is given and is no number from 0 to 1."""
    value = parameters.get(key, 0)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return []
    return [
        RequestProblem(pointer=pointer("parameters", key), detail="must be a number from 0 to 1")
    ]


def flag(parameters: Parameters, key: str) -> list[RequestProblem]:
    if isinstance(parameters.get(key, False), bool):
        return []
    return [RequestProblem(pointer=pointer("parameters", key), detail="must be true or false")]


def one_of(parameters: Parameters, key: str, choices: Sequence[str]) -> list[RequestProblem]:
    if parameters.get(key, choices[0]) in choices:
        return []
    detail = "must be one of " + ", ".join(choices)
    return [RequestProblem(pointer=pointer("parameters", key), detail=detail)]


def only_texts(request: PredictRequest) -> list[RequestProblem]:
    """Return a problem for each input that is an object."""
    return [
        RequestProblem(pointer=pointer("inputs", str(i)), detail="must be a text")
        for i, value in enumerate(request.inputs)
        if not isinstance(value, str)
    ]


def objects_of(
    request: PredictRequest, *keys: str, texts_too: bool = False
) -> list[RequestProblem]:
    """Return a problem for each input that is not an object of exactly those texts (or a text, with `texts_too`)."""
    problems = []
    form = "{" + ", ".join(f'"{key}": "..."' for key in keys) + "}"
    for i, value in enumerate(request.inputs):
        if isinstance(value, str):
            good = texts_too
        else:
            good = set(value) == set(keys) and all(isinstance(v, str) for v in value.values())
        if not good:
            detail = f"must be {'a text or ' * texts_too}an object {form}"
            problems.append(RequestProblem(pointer=pointer("inputs", str(i)), detail=detail))
    return problems
