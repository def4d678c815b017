"""The parameters of a request to generate text: checked, and with defaults for those left out.

Ranges are in `contracts/api/text_generation.py`, as are the defaults of a model whose generation_config.json sets none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.api.task_api import Parameter, TaskApi, input_problems, parameter_problems
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
from functions.inference.beam_search import BeamSettings
from functions.inference.logits_processors import PROCESSORS
from functions.inference.sampling import LIMITS, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationDefaults:
    """The keys of a model's own generation_config.json that its requests are answered by.

    `values` has them as they are in that file; `max_new_tokens` is the most that a request may ask for.
    """

    max_new_tokens: int
    values: Mapping[str, Any] = field(default_factory=dict)

    def of(self, parameter: Parameter) -> Any:
        """Return the default of a request's parameter: the model's own, or else that of every model."""
        return self.values.get(parameter.name, parameter.default)

    def new_tokens(self, prompt: int, *, chat: bool = False) -> int:
        """Return how many tokens follow a prompt of so many at most where the request does not say.

        The answer to a chat has no limit but the model's own.
        """
        wished = self.values.get(
            MAX_NEW_TOKENS.name, self.max_new_tokens if chat else MAX_NEW_TOKENS.default
        )
        # As in transformers, `max_length` counts the prompt, and is looked at only without `max_new_tokens`.
        if "max_length" in self.values and MAX_NEW_TOKENS.name not in self.values:
            wished = max(1, self.values["max_length"] - prompt)
        # A model with a small context may allow fewer tokens than the default.
        return int(min(wished, self.max_new_tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationParameters:
    """The parameters of one request; `max_new_tokens` is None where it depends on the length of the prompt.

    `beams` is set where the model searches with several; a text that is sampled has one.
    """

    max_new_tokens: int | None
    sampling: Sampling
    beams: BeamSettings | None
    stop: tuple[str, ...]
    full_text: bool


def parse(parameters: Mapping[str, Any], defaults: GenerationDefaults) -> GenerationParameters:
    """Return the parameters of a request in which `problems` found none."""
    # transformers ignores a temperature without `do_sample`; a caller who sends one expects it to have an effect.
    sampled = any(parameter.name in parameters for parameter in SAMPLING)

    def value(parameter: Parameter) -> Any:
        return parameters.get(parameter.name, defaults.of(parameter))

    sampled = parameters.get(DO_SAMPLE.name, sampled or bool(defaults.of(DO_SAMPLE)))
    return GenerationParameters(
        max_new_tokens=parameters.get(MAX_NEW_TOKENS.name),
        beams=None if sampled else BeamSettings.of(defaults.values),
        sampling=Sampling(
            do_sample=sampled,
            temperature=value(TEMPERATURE),
            top_k=value(TOP_K) or 0,
            top_p=value(TOP_P),
            repetition_penalty=value(REPETITION_PENALTY),
            seed=SEED.value(parameters),
            processors=_of(defaults.values, PROCESSORS),
            limits=_of(defaults.values, ("top_h", *LIMITS)),
        ),
        stop=tuple(STOP.value(parameters)),
        full_text=RETURN_FULL_TEXT.value(parameters),
    )


def _of(values: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    # A penalty for repetition is a parameter of requests as well, so it is not the model's alone.
    return {k: values[k] for k in keys if k in values and k != REPETITION_PENALTY.name}


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
