"""The division of clients between tiers: shares, stickiness, and no more moves than a change of weights needs."""

import math
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest

from contracts.prediction import PredictRequest, Prefer
from contracts.routes import Route
from contracts.tasks import Tier
from functions.router.deciding.decision import decide
from functions.router.targets.health import Condition
from tests.fixtures.router_app import INTENTS
from tests.functions.router.deciding.cases import NOW, case, divided, profiled, request

pytestmark = pytest.mark.slow

CPU, GPU = Tier.CPU, Tier.GPU
CLIENTS = tuple(f"{os.environ['TURNOUT_SEED']}-{i}" for i in range(4_000))
# A share outside of these is seen once in two million draws.
SIGMAS = 5


def tiers(route: Route, clients: Iterable[str] = CLIENTS) -> dict[str, Tier]:
    return {
        client: decide(case(request("hi", client=client), route)).primary.tier for client in clients
    }


def assert_share(count: int, of: int, share: float) -> None:
    assert abs(count - of * share) <= SIGMAS * math.sqrt(of * share * (1 - share))


@pytest.mark.parametrize(
    ("cpu", "gpu"), [(90, 10), (1, 1), (1, 999), (0, 7), (7, 0)], ids=lambda weight: str(weight)
)
def test_each_tier_has_its_share_of_the_clients(cpu: int, gpu: int) -> None:
    counts = Counter(tiers(divided(cpu=cpu, gpu=gpu)).values())
    assert_share(counts[GPU], len(CLIENTS), gpu / (cpu + gpu))


def test_a_client_keeps_its_tier_as_long_as_the_weights_stand() -> None:
    route = divided(cpu=3, gpu=1)
    before = tiers(route)
    assert set(before.values()) == {CPU, GPU}
    assert tiers(divided(cpu=300, gpu=100)) == before
    # Neither another text nor what else is in the table changes it.
    other = replace(route, targets={tier: route.targets[tier] for tier in (GPU, CPU)})
    assert tiers(other, reversed(CLIENTS)) == before
    one = case(request("another text", client=CLIENTS[0]), route)
    assert decide(one).primary.tier is before[CLIENTS[0]]


@pytest.mark.parametrize(("gpu", "more"), [(10, 20), (10, 11), (0, 1), (100, 900)])
def test_where_a_weight_grows_only_the_clients_of_its_new_share_move(gpu: int, more: int) -> None:
    before, after = tiers(divided(cpu=90, gpu=gpu)), tiers(divided(cpu=90, gpu=more))
    moved = [client for client in CLIENTS if before[client] is not after[client]]
    assert {after[client] for client in moved} <= {GPU}
    assert_share(len(moved), len(CLIENTS), more / (90 + more) - gpu / (90 + gpu))


def test_two_models_divide_their_clients_independently() -> None:
    here = tiers(divided(cpu=1, gpu=1))
    there = tiers(divided(replace(INTENTS, model="another"), cpu=1, gpu=1))
    both = sum(here[client] is GPU and there[client] is GPU for client in CLIENTS)
    assert_share(both, len(CLIENTS), 0.25)


def test_the_tier_of_a_client_is_the_same_in_every_process() -> None:
    clients = [f"user-{i}" for i in range(12)]
    found = "".join(tier[0] for tier in tiers(divided(cpu=1, gpu=1), clients).values())
    assert found == "ccgcgccgccgc"


@pytest.mark.parametrize(
    ("predict", "tier", "reason"),
    [
        (request("hi"), GPU, "split"),
        (request("hi", tier=CPU), CPU, "pinned"),
        (request("hi", version="cpu0000000000"), CPU, "pinned"),
        (request("hi", prefer=Prefer.CHEAP), CPU, "prefer_cheap"),
        (request("a" * 101), GPU, "fits_gpu"),
        (request(*["hi"] * 5), GPU, "fits_gpu"),
    ],
)
def test_what_a_request_asks_for_goes_before_the_split(
    predict: PredictRequest, tier: Tier, reason: str
) -> None:
    plan = decide(case(predict, divided(cpu=0, gpu=1)))
    assert (plan.primary.tier, plan.reason) == (tier, reason)


def test_a_deadline_goes_before_the_split() -> None:
    predict = request("a" * 32, deadline=NOW + 0.009)
    plan = decide(case(predict, divided(profiled(), cpu=1, gpu=0)))
    assert (plan.primary.tier, plan.reason) == (GPU, "in_time")


def test_while_the_tier_of_a_client_does_not_answer_the_other_one_does() -> None:
    plan = decide(case(request("hi"), divided(cpu=0, gpu=1), gpu=Condition.ASLEEP))
    assert (plan.primary.tier, plan.reason) == (CPU, "gpu_asleep")
    assert plan.degraded(plan.primary)
