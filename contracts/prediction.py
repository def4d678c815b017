"""Requests and answers, the same on every tier and for every task.

An input is a text, or an object of texts if a task takes more than one. A tier receives `{"inputs": [...],
"parameters": {...}}` and answers `{"outputs": [...], "version": "...", "elapsed_ms": 1.2}` or `{"problem": {...}}`; the
router takes the same request, with an optional `tier`, and adds `model`, `tier` and `reason` to the answer.
"""

import json
import math
import sys
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.http_errors import (
    InvalidInput,
    MalformedRequest,
    ModelFailed,
    RequestProblem,
    TooLarge,
    from_problem,
    pointer,
)
from contracts.tasks import Tier

KEYS = ("inputs", "parameters", "tier")
# A body of 10 MB can have a problem in each of a million inputs; an answer lists the first of them.
MAX_PROBLEMS = 20
# A text, or an object of texts if a task takes more than one: `{"question": ..., "context": ...}`.
Input = str | Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictRequest:
    """Inputs to run a model on; `tier` pins one tier, otherwise the router chooses.

    `deadline` is the time, on the clock of `time.monotonic`, after which nobody waits for the answer. It is set on the
    tier that runs the model, and is not sent.
    """

    inputs: tuple[Input, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tier: Tier | None = None
    deadline: float = math.inf

    @property
    def chars(self) -> int:
        return sum(map(chars_of, self.inputs))

    def to_wire(self) -> dict[str, Any]:
        """Return the body that a tier receives."""
        return {"inputs": list(self.inputs), "parameters": dict(self.parameters)}


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


async def read_body(chunks: AsyncIterable[bytes], max_bytes: int) -> bytes:
    """Return a whole body; raise TooLarge as soon as it is longer than the limit."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > max_bytes:
            raise TooLarge(f"the body is over {max_bytes >> 20} MB")
    return bytes(body)


def read_json(body: bytes) -> object:
    """Return the value of a JSON text; raise MalformedRequest with the place where it stops being one."""
    try:
        # Python would read NaN and Infinity, which JSON has not (RFC 8259, section 6).
        # Given bytes, json.loads would also take UTF-16 and UTF-32; JSON texts are UTF-8 (section 8.1).
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise MalformedRequest(
            f"the body is not UTF-8 text: byte {error.start} is invalid"
        ) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise MalformedRequest(f"the body is not JSON: {error.msg} at {where}") from error
    except RecursionError as error:
        raise MalformedRequest("the body is not a request: it is nested too deeply") from error
    except ValueError as error:
        # Python converts no longer ones, since the time that takes is quadratic (CVE-2020-10735).
        most = sys.get_int_max_str_digits()
        raise MalformedRequest(f"the body has an integer of more than {most} digits") from error


def _refuse_constant(word: str) -> object:
    raise MalformedRequest(f"the body is not JSON: {word} is not a JSON number")


def parse_request(document: object) -> PredictRequest:
    """Return the request in a JSON document; raise InvalidInput with every problem, 20 at most."""
    if not isinstance(document, dict):
        raise InvalidInput('the request is not a JSON object; send {"inputs": ["some text"]}')
    problems = [
        RequestProblem(pointer=pointer(key), detail=f"unknown key; the keys are {', '.join(KEYS)}")
        for key in document
        if key not in KEYS
    ]
    problems += _inputs_problems(document)
    if not isinstance(document.get("parameters", {}), dict):
        problems.append(RequestProblem(pointer="/parameters", detail="must be an object"))
    tier = document.get("tier")
    # The type is checked first, because a list or an object cannot be looked up in a set.
    if tier is not None and not (isinstance(tier, str) and tier in set(Tier)):
        choices = " or ".join(f'"{t}"' for t in Tier)
        problems.append(RequestProblem(pointer="/tier", detail=f"must be {choices}"))
    if problems:
        first = problems[0]
        more = f", and {len(problems) - 1} more problems" if len(problems) > 1 else ""
        raise InvalidInput(
            f"{first.pointer}: {first.detail}{more}", problems=problems[:MAX_PROBLEMS]
        )
    inputs = document["inputs"]
    return PredictRequest(
        inputs=tuple(inputs) if isinstance(inputs, list) else (inputs,),
        parameters=document.get("parameters", {}),
        tier=Tier(tier) if tier is not None else None,
    )


def _inputs_problems(document: dict[str, Any]) -> list[RequestProblem]:
    if "inputs" not in document:
        return [
            RequestProblem(pointer="/inputs", detail="is missing; give a text or a list of texts")
        ]
    inputs = _listed(document["inputs"])
    if not isinstance(inputs, list):
        return [RequestProblem(pointer="/inputs", detail="must be a text or a list of texts")]
    if not inputs:
        return [RequestProblem(pointer="/inputs", detail="is empty; give at least one text")]
    return [problem for i, value in enumerate(inputs) for problem in _input_problems(str(i), value)]


def _listed(inputs: object) -> object:
    """Return a list of inputs; a single input becomes a list of one."""
    return [inputs] if isinstance(inputs, str | dict) else inputs


def _input_problems(at: str, value: object) -> list[RequestProblem]:
    if not isinstance(value, dict):
        detail = _text_problem(value)
        return [RequestProblem(pointer=pointer("inputs", at), detail=detail)] if detail else []
    if not value:
        return [RequestProblem(pointer=pointer("inputs", at), detail="is an empty object")]
    problems = []
    for key, part in value.items():
        texts = part if isinstance(part, list) else [part]
        details = [detail for text in texts if (detail := _text_problem(text))]
        if details:
            problems.append(RequestProblem(pointer=pointer("inputs", at, key), detail=details[0]))
    return problems


def _text_problem(text: object) -> str | None:
    if not isinstance(text, str):
        return "must be a text"
    if not text.strip():
        return "is an empty text"
    try:
        # JSON can escape half a surrogate pair, which tokenizers and UTF-8 responses cannot hold.
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "holds half a surrogate pair, which no UTF-8 text can"
    return None
