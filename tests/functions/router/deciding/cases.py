"""Requests, routes and states of the decisions in these tests."""

from dataclasses import replace
from typing import Any

from contracts.prediction import PredictRequest
from contracts.routes import Route
from contracts.tasks import Task, Tier
from functions.router.deciding.rules import Case
from functions.router.targets.health import Condition, TargetState
from tests.fixtures.router_app import INTENTS, target

CPU, GPU = Tier.CPU, Tier.GPU
GPU_ONLY = Route(
    model="large",
    task=Task.TEXT_CLASSIFICATION,
    targets={GPU: target(GPU, wake_s=600)},
    labels=("a",),
)
NOW = 1000.0


def request(*inputs: str, **options: Any) -> PredictRequest:
    return PredictRequest(inputs=inputs, **options)


def profiled(**changes: Any) -> Route:
    """Return a route whose tiers were timed: 10 ms for 8 tokens on the CPU and 4 ms on the GPU, which may sleep."""
    targets = {
        CPU: target(CPU, latency_ms=((8, 10.0), (32, 34.0))),
        GPU: target(GPU, latency_ms=((8, 4.0), (32, 5.0)), wake_s=600, **changes),
    }
    return replace(INTENTS, targets=targets, chars_per_token=4.0)


def divided(route: Route = INTENTS, **weights: int) -> Route:
    """Return a route whose clients are divided between the tiers by these weights."""
    return replace(route, split={Tier(tier): weight for tier, weight in weights.items()})


def case(
    predict: PredictRequest, route: Route = INTENTS, **states: TargetState | Condition
) -> Case:
    """Return a case at NOW; a condition holds for 5 s more."""
    known = {
        Tier(tier): state
        if isinstance(state, TargetState)
        else TargetState(condition=state, until=NOW + 5)
        for tier, state in states.items()
    }
    return Case(request=predict, route=route, states=known, now=NOW)
