"""The parameters of a request to generate text: checked, and with defaults for those left out.

Defaults and ranges are in `contracts/api/text_generation.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.api.task_api import TaskApi, input_problems, parameter_problems
from contracts.api.text_generation import (
    DO_SAMPLE,
    MAX_NEW_TOKENS,
    REPETITION_PENALTY,
    RETURN_FULL_TEXT,
    SAMPLING,
    SEED,
    STOP,
    TEMPERATURE,
    TOP_K,
    TOP_P,
)
from contracts.http_errors import RequestProblem, pointer
from contracts.prediction import PredictRequest
from functions.inference.sampling import Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationParameters:
    """The parameters of one request."""

    max_new_tokens: int
    sampling: Sampling
    stop: tuple[str, ...]
    full_text: bool


def parse(parameters: Mapping[str, Any], max_new_tokens: int) -> GenerationParameters:
    """Return the parameters of a request in which `problems` found none; `max_new_tokens` is the model's limit."""
    # transformers ignores a temperature without `do_sample`; a caller who sends one expects it to have an effect.
    sampled = any(parameter.name in parameters for parameter in SAMPLING)
    # A model with a small context may allow fewer tokens than the default.
    default = min(MAX_NEW_TOKENS.default, max_new_tokens)
    return GenerationParameters(
        max_new_tokens=parameters.get(MAX_NEW_TOKENS.name, default),
        sampling=Sampling(
            do_sample=parameters.get(DO_SAMPLE.name, sampled),
            temperature=TEMPERATURE.value(parameters),
            top_k=TOP_K.value(parameters) or 0,
            top_p=TOP_P.value(parameters),
            repetition_penalty=REPETITION_PENALTY.value(parameters),
            seed=SEED.value(parameters),
        ),
        stop=tuple(STOP.value(parameters)),
        full_text=RETURN_FULL_TEXT.value(parameters),
    )


def problems(request: PredictRequest, api: TaskApi, max_new_tokens: int) -> list[RequestProblem]:
    """Return every problem of a request; `max_new_tokens` is the model's limit."""
    known = [
        parameter.limited(maximum=max_new_tokens) if parameter is MAX_NEW_TOKENS else parameter
        for parameter in api.parameters
    ]
    found = parameter_problems(request.parameters, known)
    return [
        *input_problems(request.inputs, api.input),
        *found,
        *_contradictions(request.parameters, {problem.pointer for problem in found}),
    ]


def _contradictions(parameters: Mapping[str, Any], known: set[str]) -> list[RequestProblem]:
    """Return a problem for each sampling parameter of a request that turns sampling off."""
    if parameters.get(DO_SAMPLE.name) is not False:
        return []
    pointers = [pointer("parameters", p.name) for p in SAMPLING if p.name in parameters]
    return [
        RequestProblem(pointer=place, detail="has no meaning where do_sample is false")
        for place in pointers
        if place not in known
    ]
