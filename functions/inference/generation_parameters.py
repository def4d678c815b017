"""The parameters of text generation, named as in Hugging Face's text-generation-inference."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.errors import RequestProblem, pointer
from functions.inference.sampling import Sampling

DEFAULT_NEW_TOKENS = 64
MAX_STOPS = 16
MAX_SEED = 2**64 - 1
# Each of these turns sampling on, unless `do_sample` says otherwise.
SAMPLING = ("temperature", "top_k", "top_p")
PARAMETERS = (
    "max_new_tokens",
    "do_sample",
    *SAMPLING,
    "repetition_penalty",
    "seed",
    "stop",
)
FULL_TEXT = "return_full_text"


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationParameters:
    """The parameters of one request, with defaults for those left out."""

    max_new_tokens: int
    sampling: Sampling
    stop: tuple[str, ...]
    full_text: bool


def parse(parameters: Mapping[str, Any], max_new_tokens: int) -> GenerationParameters:
    """Return the parameters of a request in which `problems` found none."""
    sampled = any(name in parameters for name in SAMPLING)
    return GenerationParameters(
        max_new_tokens=parameters.get("max_new_tokens", min(DEFAULT_NEW_TOKENS, max_new_tokens)),
        sampling=Sampling(
            do_sample=parameters.get("do_sample", sampled),
            temperature=parameters.get("temperature", 1.0),
            top_k=parameters.get("top_k", 0),
            top_p=parameters.get("top_p", 1.0),
            repetition_penalty=parameters.get("repetition_penalty", 1.0),
            seed=parameters.get("seed"),
        ),
        stop=tuple(parameters.get("stop", ())),
        full_text=parameters.get(FULL_TEXT, False),
    )


def problems(
    parameters: Mapping[str, Any], max_new_tokens: int, known: Collection[str]
) -> list[RequestProblem]:
    """Return every problem of the parameters; `known` are those that the task takes."""
    found = []
    checks = _checks(max_new_tokens)
    for name, value in parameters.items():
        if name not in known:
            detail: str | None = f"unknown; this task knows {', '.join(known)}"
        else:
            fits, expected = checks[name]
            detail = None if fits(value) else f"must be {expected}"
            if detail is None and name in SAMPLING and parameters.get("do_sample") is False:
                detail = "has no meaning where do_sample is false"
        if detail:
            found.append(RequestProblem(pointer=pointer("parameters", name), detail=detail))
    return found


Check = tuple[Callable[[Any], bool], str]


def _checks(max_new_tokens: int) -> dict[str, Check]:
    flag: Check = (lambda v: isinstance(v, bool), "true or false")
    positive: Check = (lambda v: _number(v) and v > 0, "a number above 0")
    return {
        "max_new_tokens": (
            lambda v: _whole(v) and 1 <= v <= max_new_tokens,
            f"a whole number from 1 to {max_new_tokens}",
        ),
        "do_sample": flag,
        "temperature": positive,
        "top_k": (lambda v: _whole(v) and v >= 1, "a whole number from 1 up"),
        "top_p": (lambda v: _number(v) and 0 < v <= 1, "a number above 0 and at most 1"),
        "repetition_penalty": positive,
        "seed": (
            lambda v: _whole(v) and 0 <= v <= MAX_SEED,
            f"a whole number from 0 to {MAX_SEED}",
        ),
        "stop": (_stops, f"a list of at most {MAX_STOPS} texts, none of them empty"),
        FULL_TEXT: flag,
    }


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> bool:
    """Tell a number that a float can hold from a flag or a larger one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _stops(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MAX_STOPS
        and all(isinstance(text, str) and text for text in value)
    )
