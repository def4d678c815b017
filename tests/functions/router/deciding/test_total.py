"""Decisions on generated requests and states: each is a plan or an error for the caller."""

import math
import os
from dataclasses import replace
from random import Random

import pytest

from contracts.http_errors import ServingError
from contracts.prediction import PredictRequest, Prefer
from contracts.routes import Cascade
from contracts.tasks import Tier, Wake
from functions.router.deciding.decision import REASONS, Plan, decide
from functions.router.deciding.rules import Case, over_limits
from functions.router.targets.health import Condition, TargetState
from tests.fixtures.router_app import INTENTS, VECTORS
from tests.functions.router.deciding.cases import GPU_ONLY, NOW, case, divided, profiled, request

pytestmark = pytest.mark.slow

CASCADE = Cascade(
    threshold=0.8, parameters={}, rows=500, kept=0.7, lost=0.0, bound=0.01, assurance=0.95
)
ROUTES = (
    INTENTS,
    replace(INTENTS, cascade=CASCADE),
    VECTORS,
    GPU_ONLY,
    profiled(shadow=0.5),
    profiled(wake=Wake.NEVER),
    divided(cpu=1, gpu=1),
)


def state_of(random: Random) -> TargetState:
    return TargetState(
        condition=random.choice(list(Condition)),
        until=random.choice([0.0, NOW, NOW + 5]),
        failures=random.randrange(9),
        opened=random.randrange(8),
        woken=random.choice([None, NOW - 1000, NOW - 1]),
        token_ms=random.choice([None, 0.0, 1e9]),
    )


def request_of(random: Random) -> PredictRequest:
    return request(
        *[random.choice(["a", "a" * 90, "a" * 900]) for _ in range(random.choice([1, 4, 5, 41]))],
        tier=random.choice([None, *Tier]),
        version=random.choice([None, None, "cpu0000000000", "gpu0000000000", "other"]),
        prefer=random.choice([None, *Prefer]),
        allow_degraded=random.random() < 0.5,
        client=random.choice([None, "a", "b", "c"]),
        deadline=random.choice([math.inf, NOW - 1, NOW, NOW + 0.01, NOW + 10]),
    )


def outcome(asked: Case) -> Plan | ServingError:
    try:
        return decide(asked)
    except ServingError as error:
        return error


def check(asked: Case, plan: Plan) -> None:
    assert plan == decide(asked)
    assert plan.reason in REASONS
    assert plan.fallback is not plan.primary
    for chosen in filter(None, (plan.primary, plan.fallback)):
        assert chosen in asked.route.targets.values()
        assert over_limits(asked, chosen) is None
        assert asked.request.version in (None, chosen.version)
        if not asked.request.allow_degraded or asked.request.tier is Tier.CPU:
            assert not plan.degraded(chosen)
            assert asked.request.tier in (None, chosen.tier)


def test_a_decision_is_total_and_keeps_the_limits_and_the_pins_of_a_request() -> None:
    random = Random(os.environ["TURNOUT_SEED"])
    plans = 0
    for _ in range(5_000):
        states = {tier.value: state_of(random) for tier in Tier}
        known = case(request_of(random), random.choice(ROUTES), **states)
        asked = replace(known, withdrawn=random.random() < 0.5, chance=random.random())
        plan = outcome(asked)
        if isinstance(plan, Plan):
            plans += 1
            check(asked, plan)
        else:
            assert plan.status in (413, 422, 503)
            assert (plan.retry_after_s or 0) >= (1 if plan.status == 503 else 0)
    assert 500 < plans < 4_500
