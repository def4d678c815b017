"""Several instances of the router before one tier that sleeps, sharing rows or left without them."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from contracts.routes import Cascade
from contracts.states.rows import Row
from contracts.tasks import Tier, Wake
from functions.router.answering.answers import Answering
from functions.router.targets.health import Condition, States
from functions.router.targets.shared_rows import KEPT_S, SharedRows, Store, in_thread
from functions.router.targets.sharing import SharedStates, shared_keys
from tests.fixtures.router_app import ROUTES, target
from tests.functions.router.answering.deployment import CPU, GPU, ROUTE, WAKE_S, Deployment, over
from tests.functions.router.answering.scripted import ANSWERS, ASLEEP, Step, running
from tests.functions.router.targets.rows import Memory

MINUTES = 10
TARGET = ROUTE.targets[GPU]
UNSURE = Step(body={"outputs": [{"label": "a", "score": 0.4}], "version": "small", "elapsed_ms": 2})
# No answer is certain enough for it.
CASCADE = Cascade(
    threshold=1.1, parameters={}, rows=500, kept=0.0, lost=0.0, bound=0.01, assurance=0.95
)


@dataclass(slots=True)
class Held(Memory):
    """Rows that nobody gets before `free` is set, as of a DynamoDB that hangs; `asked` says that one waits."""

    free: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)

    def take(self, row: Row, before: float) -> Row | None:
        self.asked.set()
        assert self.free.wait(60)
        return Memory.take(self, row, before)

    def read(self, keys: Sequence[str]) -> list[Row]:
        assert self.free.wait(60)
        return Memory.read(self, keys)


def sharing(both: Deployment, store: Store, run: Any = lambda act: act()) -> Deployment:
    """Have an instance share rows; it reads them at once, or as `run` says."""
    clock = both.clock
    rows = SharedRows(store, shared_keys(ROUTES), clock=clock, run=run)
    states = States(clock, SharedStates(rows, clock))
    both.answering = Answering(both.answering.attempts.backends, states, clock=clock)
    return both


def instances(stack: ExitStack, store: Store, count: int = 4) -> list[Deployment]:
    """Return instances before the same two tiers, of which the GPU's sleeps."""
    cpu, gpu = (stack.enter_context(running(step)) for step in (ANSWERS, ASLEEP))
    found = [sharing(over(stack, cpu, gpu), store) for _ in range(count)]
    for one in found[1:]:
        one.clock = found[0].clock
        sharing(one, store)
    return found


def through(several: list[Deployment], store: Memory) -> int:
    """Send a request a minute to each instance while the tier sleeps; return how many calls of the tier there were."""
    clock = several[0].clock
    for _ in range(MINUTES):
        store.write(TARGET.address, clock(), 0, 0, "InService")
        for one in several:
            answer = one.ask(tier=GPU)
            assert (answer.target.tier, answer.degraded) == (CPU, True)
        # A little more than a minute, and than the rows are kept.
        clock.ahead += 60 + KEPT_S
    return several[0].counts()[1]


def test_all_instances_make_one_wake_call_a_minute_together(stack: ExitStack) -> None:
    store = Memory()
    several = instances(stack, store)
    assert through(several, store) == MINUTES
    assert {one.answering.case(_request(), ROUTE).states[GPU].condition for one in several} == {
        Condition.ASLEEP
    }


def test_without_dynamodb_each_instance_makes_one(stack: ExitStack) -> None:
    store = Memory(error=ConnectionError("throttled"))
    several = instances(stack, store)
    assert through(several, store) == MINUTES * len(several)


def test_a_tier_that_is_known_to_sleep_is_not_asked_by_an_escalation_of_a_new_instance(
    stack: ExitStack,
) -> None:
    store = Memory()
    one, *_ = instances(stack, store)
    store.write(TARGET.address, one.clock(), 1, 0, "InService")
    assert one.ask(tier=GPU).reason == "gpu_waking"
    assert one.counts() == (1, 0)
    one.clock.ahead += 30
    store.write(TARGET.address, one.clock(), 1, 1, "InService")
    one.gpu.steps = [ANSWERS]
    assert one.ask(tier=GPU).target.tier is GPU


SLEEPER = replace(ROUTE, targets={**ROUTE.targets, GPU: replace(TARGET, sleeps=True)})


@pytest.mark.parametrize("tier", [GPU, None], ids=["pinned", "escalated"])
def test_a_new_instance_asks_what_the_others_know_before_it_wakes_a_tier(
    stack: ExitStack, tier: Tier | None
) -> None:
    """Its rows are read by a thread, and there is nothing known yet that it could go by."""
    store = Memory()
    one, new = instances(stack, store, 2)
    one.ask(SLEEPER, tier=GPU)
    assert one.counts() == (1, 1)
    store.write(TARGET.address, one.clock(), 1, 0, "InService")
    sharing(new, store, in_thread)
    new.cpu.steps = [UNSURE]
    route = SLEEPER if tier else replace(SLEEPER, cascade=CASCADE)
    answer = new.ask(route, tier=tier)
    assert (answer.target.tier, answer.degraded, answer.reason) == (CPU, True, "gpu_waking")
    assert new.counts() == (1, 0)


@pytest.mark.parametrize("tier", [GPU, None], ids=["pinned", "escalated"])
def test_a_new_instance_waits_once_for_a_dynamodb_that_does_not_answer(
    stack: ExitStack, tier: Tier | None
) -> None:
    store = Held()
    stack.callback(store.free.set)
    (one,) = instances(stack, store, 1)
    sharing(one, store, in_thread)
    shared = one.answering.attempts.states.shared
    assert shared is not None
    assert not shared.knows()
    one.cpu.steps = [UNSURE]
    route = SLEEPER if tier else replace(SLEEPER, cascade=CASCADE)
    assert one.ask(route, tier=tier).reason == "gpu_waking"
    assert shared.knows()
    assert one.counts() == (1, 1)


def test_a_tier_that_never_sleeps_is_asked_at_once(stack: ExitStack) -> None:
    store = Held()
    stack.callback(store.free.set)
    (one,) = instances(stack, store, 1)
    sharing(one, store, in_thread)
    one.gpu.steps = [ANSWERS]
    assert one.ask(tier=GPU).target.tier is GPU
    shared = one.answering.attempts.states.shared
    assert shared is not None
    assert not shared.knows()


def test_no_request_waits_for_a_dynamodb_that_does_not_answer(stack: ExitStack) -> None:
    store = Held()
    (one,) = instances(stack, store, 1)
    one.answering.attempts.states.shared = None
    assert one.ask(tier=GPU).reason == "gpu_waking"
    one.clock.ahead += 60
    threads: list[threading.Thread] = []

    def run(act: Any) -> None:
        threads.append(threading.Thread(target=act))
        threads[-1].start()

    states = one.answering.attempts.states
    sharing(one, store, run)
    one.answering.attempts.states.by_address = states.by_address
    one.counts()
    # The answer is there although nothing of DynamoDB's is.
    assert one.ask(tier=GPU).target.tier is CPU
    assert store.asked.is_set()
    assert not store.free.is_set()
    assert one.counts() == (1, 1)
    store.free.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("wake", [Wake.NEVER, Wake.PINNED])
def test_a_tier_that_no_call_wakes_is_asked_by_each_instance(stack: ExitStack, wake: Wake) -> None:
    store = Memory()
    several = instances(stack, store, 2)
    gpu = target(GPU, wake_s=WAKE_S, wake=wake)
    route = replace(ROUTE, targets={**ROUTE.targets, GPU: gpu})
    store.write(TARGET.address, several[0].clock(), 0, 0, "InService")
    for one in several:
        one.ask(route, tier=GPU)
    assert several[0].counts() == (2, 2 if wake is Wake.NEVER else 1)


def _request() -> Any:
    from contracts.prediction import PredictRequest

    return PredictRequest(inputs=())
