"""Requests and answers, the same on every tier and for every task.

An input is a text, an object of texts if a task takes more than one, or a chat (`contracts/api/chat.py`). A tier
receives `{"inputs": [...], "parameters": {...}, "deadline_ms": 900}` and answers `{"outputs": [...], "version": "...",
"elapsed_ms": 1.2}` or `{"problem": {...}}`; `deadline_ms`, the time that its caller still waits, may be missing. The
router takes the same request with the further keys of OPTIONS, and adds `model`, `tier` and `reason` to the answer.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import Any, Self

from contracts.http_errors import (
    InvalidInput,
    ModelFailed,
    RequestProblem,
    from_problem,
    pointer,
)
from contracts.limits import STREAM_INTEGRATION_TIMEOUT_S
from contracts.request_body import half_surrogate, value_problems
from contracts.request_body import read_json as read_json
from contracts.tasks import Tier

# A body of 10 MB can have a problem in each of a million inputs: the first are counted, and an answer lists fewer.
MAX_COUNTED = 1_000
MAX_PROBLEMS = 20
# The deepest parameter of a task is a list of texts.
MAX_DEPTH = 8
# A text, or an object: of texts if a task takes more than one, `{"question": ..., "context": ...}`, or a chat.
Input = str | Mapping[str, Any]


class Prefer(StrEnum):
    """The property that counts most to a caller where several tiers can answer."""

    FAST = "fast"
    QUALITY = "quality"
    CHEAP = "cheap"


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictRequest:
    """Inputs to run a model on; `tier` and `version` pin what answers, otherwise the router chooses.

    `deadline_ms` is the time that the caller waits, in milliseconds from when the request is received; `deadline`
    is its end on the clock of `time.monotonic`, which is set where the model is run and is not sent. Without
    `allow_degraded` the CPU tier does not answer for the GPU tier; a request that is not `idempotent` is not sent
    again once it may have run. `client` is whom a split between tiers keeps on one of them. What is `passed` is for
    vLLM in its own words, beyond the parameters of every tier; a tier with another server does not get it.
    A tier with `stream` sends the text as it writes it (`contracts/streaming.py`).
    """

    inputs: tuple[Input, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tier: Tier | None = None
    version: str | None = None
    deadline_ms: int | None = None
    prefer: Prefer | None = None
    allow_degraded: bool = True
    idempotent: bool = True
    client: str | None = None
    passed: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = False
    deadline: float = math.inf

    def due(self, now: float, most_s: float = math.inf) -> Self:
        """Return the request with its `deadline`: when its caller leaves, or `most_s` seconds after `now` if sooner."""
        left_s = math.inf if self.deadline_ms is None else self.deadline_ms / 1e3
        return replace(self, deadline=now + min(left_s, most_s))

    @property
    def chars(self) -> int:
        """Return the characters of all inputs and parameters: a label, a query or a tool is read like an input."""
        return sum(map(chars_of, (*self.inputs, self.parameters, self.passed)))

    def to_wire(self) -> dict[str, Any]:
        """Return the body that a tier receives."""
        document: dict[str, Any] = {
            "inputs": list(self.inputs),
            "parameters": dict(self.parameters),
        }
        if self.deadline_ms is not None:
            document["deadline_ms"] = self.deadline_ms
        if self.stream:
            document["stream"] = True
        return document


# The longest deadline of any front: no gateway waits for an answer after that.
MAX_DEADLINE_MS = STREAM_INTEGRATION_TIMEOUT_S * 1000


def _is_deadline(value: object) -> bool:
    # bool is an int in Python.
    return type(value) is int and 1 <= value <= MAX_DEADLINE_MS


def _one_of(*choices: str) -> "Option":
    # The type is checked first, because a list or an object cannot be looked up in a set.
    named = " or ".join(f'"{choice}"' for choice in choices)
    return (lambda value: isinstance(value, str) and value in choices, f"must be {named}")


Option = tuple[Callable[[Any], bool], str]
# Room for a UUID, an e-mail address, or a hash of either.
MAX_CLIENT_CHARS = 256


def _is_client(value: object) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value.strip())
        and len(value) <= MAX_CLIENT_CHARS
        and half_surrogate(value) is None
    )


FLAG: Option = (lambda value: isinstance(value, bool), "must be true or false")
# The keys of a request beside its inputs and parameters: the check of each, and its problem. Null stands for none.
OPTIONS: dict[str, Option] = {
    "tier": _one_of(*Tier),
    "version": (
        lambda value: isinstance(value, str) and bool(value.strip()),
        "must be a version, as answers name it",
    ),
    "deadline_ms": (_is_deadline, f"must be a whole number from 1 to {MAX_DEADLINE_MS}"),
    "prefer": _one_of(*Prefer),
    "allow_degraded": FLAG,
    "idempotent": FLAG,
    "client": (_is_client, f"must be a text of 1 to {MAX_CLIENT_CHARS} characters"),
}
KEYS = ("inputs", "parameters", *OPTIONS)


def chars_of(value: object) -> int:
    """Return the characters of an input: of the text, or of all texts in the object."""
    match value:
        case str():
            return len(value)
        case Mapping():
            return sum(map(chars_of, value.values()))
        case list() | tuple():
            return sum(map(chars_of, value))
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TierAnswer:
    """The answer of a tier: one output per input, in order."""

    outputs: tuple[dict[str, Any], ...]
    version: str
    elapsed_ms: float

    def to_wire(self) -> dict[str, Any]:
        return {
            "outputs": list(self.outputs),
            "version": self.version,
            "elapsed_ms": self.elapsed_ms,
        }

    @classmethod
    def from_wire(cls, document: object) -> "TierAnswer":
        """Read an answer; raise the error that the tier sent as `problem`, ModelFailed for anything else."""
        match document:
            case {"problem": Mapping() as problem}:
                raise from_problem(problem)
            case {
                "outputs": list(outputs),
                "version": str(version),
                # JSON has one kind of number, so 12.0 may arrive as 12.
                "elapsed_ms": float() | int() as ms,
            }:
                return cls(outputs=tuple(outputs), version=version, elapsed_ms=float(ms))
        raise ModelFailed("the tier did not answer in the words of the contract")


def parse_request(document: object) -> PredictRequest:
    """Return the request in a JSON document; raise InvalidInput with every problem, 20 at most."""
    if not isinstance(document, dict):
        raise InvalidInput('the request is not a JSON object; send {"inputs": ["some text"]}')
    if problems := list(islice(_problems(document), MAX_COUNTED)):
        first = problems[0]
        least = "" if len(problems) < MAX_COUNTED else "at least "
        more = f", and {least}{len(problems) - 1} more problems" if len(problems) > 1 else ""
        raise InvalidInput(
            f"{first.pointer}: {first.detail}{more}", problems=problems[:MAX_PROBLEMS]
        )
    inputs = document["inputs"]
    options = {key: value for key in OPTIONS if (value := document.get(key)) is not None}
    for key, kind in (("tier", Tier), ("prefer", Prefer)):
        if key in options:
            options[key] = kind(options[key])
    return PredictRequest(
        inputs=tuple(inputs) if isinstance(inputs, list) else (inputs,),
        parameters=document.get("parameters", {}),
        **options,
    )


def _problems(document: dict[str, Any]) -> Iterator[RequestProblem]:
    for key in document:
        if key not in KEYS:
            detail = f"unknown key; the keys are {', '.join(KEYS)}"
            yield RequestProblem(pointer=pointer(key), detail=detail)
    yield from _inputs_problems(document)
    parameters = document.get("parameters", {})
    if isinstance(parameters, dict):
        yield from value_problems("parameters", parameters, MAX_DEPTH)
    else:
        yield RequestProblem(pointer="/parameters", detail="must be an object")
    for key, (accepts, sentence) in OPTIONS.items():
        if (value := document.get(key)) is not None and not accepts(value):
            yield RequestProblem(pointer=f"/{key}", detail=sentence)


def _inputs_problems(document: dict[str, Any]) -> Iterator[RequestProblem]:
    if "inputs" not in document:
        yield RequestProblem(pointer="/inputs", detail="is missing; give a text or a list of texts")
        return
    inputs = _listed(document["inputs"])
    if not isinstance(inputs, list):
        yield RequestProblem(pointer="/inputs", detail="must be a text or a list of texts")
    elif not inputs:
        yield RequestProblem(pointer="/inputs", detail="is empty; give at least one text")
    else:
        for i, value in enumerate(inputs):
            yield from _input_problems(str(i), value)


def _listed(inputs: object) -> object:
    """Return a list of inputs; a single input becomes a list of one."""
    return [inputs] if isinstance(inputs, str | dict) else inputs


def _input_problems(at: str, value: object) -> Iterator[RequestProblem]:
    if not isinstance(value, dict):
        if detail := _text_problem(value):
            yield RequestProblem(pointer=pointer("inputs", at), detail=detail)
    elif not value:
        yield RequestProblem(pointer=pointer("inputs", at), detail="is an empty object")
    elif set(value) == {"messages"}:
        # The router starts without the tasks' APIs.
        from contracts.api.chat import MESSAGES, chat_problems

        for place, detail in chat_problems(value[MESSAGES]):
            yield RequestProblem(pointer=pointer("inputs", at, MESSAGES, *place), detail=detail)
    else:
        for key, part in value.items():
            texts = part if isinstance(part, list) else [part]
            details = filter(None, (half_surrogate(key), *map(_text_problem, texts)))
            if detail := next(details, None):
                yield RequestProblem(pointer=pointer("inputs", at, key), detail=detail)


def _text_problem(text: object) -> str | None:
    if not isinstance(text, str):
        return "must be a text"
    if not text.strip():
        return "is an empty text"
    return half_surrogate(text)
