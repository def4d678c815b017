"""An operation of OpenAI's API: its keys, the request of ours that it means, and its answer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from contracts.api.json_schema import STRING, array
from contracts.api.task_api import Parameter
from contracts.errors import RequestProblem
from contracts.http_errors import InvalidInput, pointer
from contracts.prediction import (
    MAX_CLIENT_CHARS,
    OPTIONS,
    PredictRequest,
    TierAnswer,
    parse_request,
)
from contracts.request_body import value_problems
from contracts.routes import Route
from contracts.tasks import Server, Task
from functions.router.openai.errors import refused

PREDICT = "/v1/models/{model}/predict"
# Of what is passed: a tool has a JSON schema, in which every second level is a name.
MAX_DEPTH = 64
MODEL = Parameter(
    name="model",
    description="The name of a model, as `GET /v1/models` lists it.",
    schema={**STRING, "minLength": 1},
    required=True,
    expected="the name of a model",
)
USER = Parameter(
    name="user",
    description="The end user: whom a split between tiers keeps on one of them.",
    schema={**STRING, "minLength": 1, "maxLength": MAX_CLIENT_CHARS},
    expected=f"a text of at most {MAX_CLIENT_CHARS} characters",
)


def texts(name: str, description: str) -> Parameter:
    """Return the key of an operation's inputs: a text, or several."""
    return Parameter(
        name=name,
        description=description,
        schema={"oneOf": [STRING, array(STRING, minItems=1)]},
        required=True,
        expected="a text or a list of texts; token ids are not taken, since the router has no tokenizer",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A key that tiers of ours take only with the values that change nothing, and why they refuse others."""

    values: tuple[Any, ...]
    why: str

    def accepts(self, value: object) -> bool:
        # True equals 1 in Python.
        return any(type(value) is type(one) and value == one for one in self.values)


Nested = Callable[[object], Iterator[tuple[tuple[str, ...], str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks:
    """The form of an operation's chunks, of which the ids begin with `prefix`.

    `piece` returns what a choice has of a further piece of its text, and `closing` what it has at its end, of the
    choice as it would be without a stream; `opening` is what it has at its beginning, where that is a chunk of its own.
    """

    kind: str
    prefix: str
    piece: Callable[[str], dict[str, Any]]
    closing: Callable[[Mapping[str, Any]], dict[str, Any]]
    opening: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation: the tasks of the models that it runs, its keys, and how it is translated.

    `inputs` is its key for the inputs of ours, by their place, `names` are its keys by the names of our parameters.
    `nested` yields the places of problems within a key's value. Keys in `passed` go as they are to a tier on vLLM, and
    are refused where a model has none, as those in `absent` are everywhere. `check` raises InvalidInput for what a
    model does not do. `chunks` are those of an operation that can be streamed.
    """

    tasks: tuple[Task, ...]
    inputs: Mapping[str, str]
    keys: tuple[Parameter, ...]
    absent: Mapping[str, Absent]
    names: Mapping[str, str]
    translate: Callable[[Mapping[str, Any]], dict[str, Any]]
    answer: Callable[[Mapping[str, Any], Route, TierAnswer], dict[str, Any]]
    nested: Mapping[str, Nested] = field(default_factory=dict)
    check: Callable[[Mapping[str, Any], Route], None] = lambda given, route: None
    passed: Mapping[str, Absent] = field(default_factory=dict)
    chunks: Chunks | None = None

    def parse(self, document: object) -> tuple[dict[str, Any], PredictRequest]:
        """Return the keys of a request, without those that are null, and the request of ours that it means.

        Raise InvalidInput with every problem, 20 at most.
        """
        if not isinstance(document, dict):
            raise InvalidInput("the request is not a JSON object")
        given = {key: value for key, value in document.items() if value is not None}
        if problems := [*self._problems(given)]:
            more = f", and {len(problems) - 1} more problems" if len(problems) > 1 else ""
            first = problems[0]
            raise InvalidInput(f"{first.pointer}: {first.detail}{more}", problems=problems[:20])
        user = {"client": given["user"]} if "user" in given else {}
        options = {**user, **{key: given[key] for key in OPTIONS if key in given}}
        request = parse_request({**self.translate(given), **options})
        return given, replace(request, passed=self._passed(given))

    def _passed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {
            k: v for k, v in given.items() if k in self.passed and not self.passed[k].accepts(v)
        }

    def _problems(self, given: Mapping[str, Any]) -> Sequence[RequestProblem]:
        details: dict[tuple[str, ...], str | None] = {}
        for key, value in given.items():
            if key in self.nested:
                details |= {(key, *place): detail for place, detail in self.nested[key](value)}
            else:
                details[key,] = self._problem(key, value)
        for one in self.keys:
            if one.required and one.name not in given:
                details[one.name,] = one.problem(None)
        return [RequestProblem(pointer=pointer(*k), detail=d) for k, d in details.items() if d]

    def _problem(self, key: str, value: object) -> str | None:
        known = {one.name: one for one in self.keys}
        if key in known:
            return known[key].problem(value)
        if key in self.absent:
            absent = self.absent[key]
            return None if absent.accepts(value) else absent.why
        if key in self.passed:
            found = value_problems(key, value, MAX_DEPTH)
            return next((problem.detail for problem in found), None)
        named = ", ".join(chain(known, self.passed, self.absent, OPTIONS))
        return None if key in OPTIONS else f"unknown key; the keys are {named}"

    def check_model(self, given: Mapping[str, Any], route: Route) -> None:
        """Raise InvalidInput for a model of another task, or what this one does not do."""
        if route.task not in self.tasks:
            raise refused(
                "model",
                f"{route.model} is a model of {route.task}, which has its own route: {PREDICT}",
            )
        if not any(target.server is Server.VLLM for target in route.targets.values()):
            for key in self._passed(given):
                raise refused(key, self.passed[key].why)
        self.check(given, route)

    @property
    def places(self) -> dict[str, str]:
        """Return its keys by the pointers of ours."""
        parameters = {f"/parameters/{ours}": theirs for ours, theirs in self.names.items()}
        return {**self.inputs, **parameters}
