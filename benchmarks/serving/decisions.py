"""The time of a decision, on requests and states as the router meets them.

Each kind of request is drawn as often as `MIXTURE` says; its texts are the example's. A decision is `decide`, and where
the model has a cascade `escalation` after it, on answers of which a part is uncertain. Errors are decisions too. The
router decides once between much other work, so each is timed a second time after work that takes its data out of the
processor's caches.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import numpy as np

from benchmarks.record import Row, publish, spread
from benchmarks.serving.asking import CLOCKS, ROUTE, example_texts
from contracts.http_errors import ServingError
from contracts.prediction import PredictRequest, Prefer
from contracts.routes import Cascade, Route
from contracts.tasks import Tier
from functions.router.deciding.decision import decide
from functions.router.deciding.escalation import escalation
from functions.router.deciding.rules import Case
from functions.router.targets.health import Condition, TargetState

NOW = 1_000.0
READY = TargetState(token_ms=0.4)
# Four bytes each, more in all than the caches of the processor hold.
EVICTING = 16_000_000


CASCADE = replace(
    ROUTE,
    cascade=Cascade(
        threshold=0.8, parameters={}, rows=1_000, kept=0.8, lost=0.004, bound=0.01, assurance=0.95
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of request: its share in the mixture, its inputs and options, its route, and the states of its targets."""

    share: float
    inputs: int = 1
    options: Mapping[str, Any] | None = None
    left_s: float = 27.0
    route: Route = ROUTE
    states: Mapping[Tier, TargetState] = field(
        default_factory=lambda: {tier: READY for tier in Tier}
    )


ASLEEP = TargetState(condition=Condition.ASLEEP, until=NOW + 30, woken=NOW - 30)
FAILING = TargetState(condition=Condition.FAILING, until=NOW + 5, failures=5, opened=1)
MIXTURE: Mapping[str, Kind] = {
    "plain": Kind(share=0.40),
    "pinned": Kind(share=0.10, options={"tier": Tier.GPU}),
    "batch of 40": Kind(share=0.10, inputs=40),
    "deadline": Kind(share=0.10, options={"deadline_ms": 20}, left_s=0.02),
    "prefer": Kind(share=0.10, options={"prefer": Prefer.QUALITY}),
    "GPU asleep": Kind(
        share=0.05, options={"prefer": Prefer.QUALITY}, states={Tier.GPU: ASLEEP, Tier.CPU: READY}
    ),
    "CPU failing": Kind(share=0.05, states={Tier.CPU: FAILING, Tier.GPU: READY}),
    "cascade": Kind(share=0.05, inputs=1, route=CASCADE),
    "cascade, batch of 16": Kind(share=0.05, inputs=16, route=CASCADE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request that is to be decided, and the outputs that the CPU tier would give."""

    kind: str
    request: PredictRequest
    outputs: Sequence[Mapping[str, Any]]


def questions(texts: Sequence[str], count: int, seed: int) -> Iterator[Question]:
    random = Random(seed)
    names, shares = [*MIXTURE], [kind.share for kind in MIXTURE.values()]
    for name in random.choices(names, shares, k=count):
        kind = MIXTURE[name]
        request = PredictRequest(
            inputs=tuple(random.choices(texts, k=kind.inputs)),
            deadline=NOW + kind.left_s,
            **(kind.options or {}),
        )
        outputs = [
            {"label": "order-status", "score": random.choice((0.99, 0.95, 0.6))}
            for _ in request.inputs
        ]
        yield Question(kind=name, request=request, outputs=outputs)


def answer(question: Question) -> object:
    """Decide a request, and what of its outputs is escalated."""
    kind = MIXTURE[question.kind]
    case = Case(request=question.request, route=kind.route, states=kind.states, now=NOW)
    try:
        plan = decide(case)
    except ServingError as error:
        return error
    return escalation(case, plan, plan.primary, question.outputs)


def timed(
    asked: Sequence[Question], before: Callable[[], object], clock: Callable[[], int]
) -> dict[str, list[float]]:
    """Return the milliseconds of each decision by its kind, and of all; `before` is run before each."""
    found: dict[str, list[float]] = {"all": [], **{name: [] for name in MIXTURE}}
    for question in asked:
        before()
        start = clock()
        answer(question)
        ms = (clock() - start) / 1e6
        found["all"].append(ms)
        found[question.kind].append(ms)
    return found


def main(args: argparse.Namespace) -> None:
    clock = CLOCKS[args.clock]
    asked = [*questions(example_texts(), 20_000, seed=1)]
    evicting = np.ones(EVICTING, np.float32)
    timed(asked[:1_000], int, clock)
    alone: dict[str, list[float]] = {}
    between: dict[str, list[float]] = {}
    for _ in range(args.rounds):
        for found, some, before in (
            (alone, asked, int),
            (between, asked[:2_000], evicting.sum),
        ):
            for name, values in timed(some, before, clock).items():
                found.setdefault(name, []).extend(values)
    rows: list[Row] = [
        {"what": f"{name}, in a row", **spread(values)} for name, values in alone.items()
    ]
    rows.append({"what": "all, after other work", **spread(between["all"])})
    command = f"benchmarks.serving decision --clock {args.clock}"
    publish("serving_decision", rows, command=command, rounds=args.rounds, decisions=len(asked))
