"""The state of targets that instances share: newer information counts, whoever has it."""

import math
from dataclasses import dataclass, field, replace

import pytest

from contracts.routes import Target
from contracts.states.rows import Row
from contracts.tasks import Tier, Wake
from functions.router.targets.health import READY, Condition, States, TargetState
from functions.router.targets.shared_rows import KEPT_S, SharedRows
from functions.router.targets.sharing import FRESH_S, SharedStates, shared_keys
from tests.fixtures.router_app import INTENTS, ROUTES, target
from tests.functions.router.targets.rows import Clock, Memory, Threads

WAKE_S = 600.0
GPU = target(Tier.GPU, wake_s=WAKE_S)
ADDRESS = GPU.address
UPTIME = 1_799_999_000.0


@dataclass(slots=True)
class Instance:
    """One instance of the router, whose own clock begins with it."""

    clock: Clock
    store: Memory
    threads: Threads = field(default_factory=Threads)
    states: States = field(init=False)

    def __post_init__(self) -> None:
        rows = SharedRows(self.store, shared_keys(ROUTES), clock=self.clock, run=self.threads)
        self.states = States(self.mono, SharedStates(rows, self.mono))

    def mono(self) -> float:
        return self.clock.now - UPTIME

    def read(self) -> None:
        """Have the rows read again."""
        self.clock.now += KEPT_S
        self.states.of(GPU)
        self.threads.run()

    def shown(self, about: Target = GPU) -> Condition:
        return self.states.of(about).shown(self.mono(), WAKE_S)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> Memory:
    return Memory()


@pytest.fixture
def one(clock: Clock, store: Memory) -> Instance:
    return Instance(clock, store)


def write(
    one: Instance, desired: int, current: int, *, ago: float = 0.0, status: str = "InService"
) -> None:
    one.store.write(ADDRESS, one.clock.now + KEPT_S - ago, desired, current, status)
    one.read()


def test_the_rows_of_a_deployment_are_those_of_its_gpu_tiers() -> None:
    assert shared_keys(ROUTES) == [f"copies#{ADDRESS}", f"wake#{ADDRESS}"]
    cpus = {Tier.CPU: INTENTS.targets[Tier.CPU]}
    assert shared_keys(replace(ROUTES, models={"a": replace(INTENTS, targets=cpus)})) == []


@pytest.mark.parametrize(
    ("desired", "current", "condition"),
    [
        (0, 0, Condition.ASLEEP),
        (1, 0, Condition.WAKING),
        (1, 1, Condition.READY),
        (0, 1, Condition.READY),
    ],
)
def test_an_instance_knows_a_tier_before_it_has_asked_it(
    one: Instance, desired: int, current: int, condition: Condition
) -> None:
    assert one.shown() is Condition.READY
    write(one, desired, current)
    assert one.shown() is condition
    # A CPU tier is not read of the control plane.
    assert one.shown(target(Tier.CPU)) is Condition.READY


@pytest.mark.parametrize("status", ["Creating", "Updating", "InService", "Deleting", "Failed"])
def test_the_copies_of_a_component_that_failed_or_goes_say_nothing(
    one: Instance, status: str
) -> None:
    write(one, 1, 0, status=status)
    counts = status not in ("Deleting", "Failed")
    assert one.shown() is (Condition.WAKING if counts else Condition.READY)


def test_a_row_that_is_no_count_of_copies_says_nothing(one: Instance) -> None:
    write(one, 0, 0)
    key = f"copies#{ADDRESS}"
    one.store.rows[key] = replace(
        one.store.rows[key], written_at=one.clock.now + 1, document={"a": 1}
    )
    one.read()
    assert one.shown() is Condition.READY


def test_a_copy_in_service_ends_the_hold_at_once(one: Instance) -> None:
    for condition in (Condition.ASLEEP, Condition.WAKING, Condition.MISSING):
        one.states.fail(GPU, condition, 10_000, WAKE_S)
        assert one.shown() is not Condition.READY
        write(one, 1, 1)
        assert one.shown() is Condition.READY
        assert [one.states.claim(GPU) for _ in range(2)] == [True, True]


def test_a_copy_in_service_says_nothing_of_a_tier_that_fails_or_is_throttled(
    one: Instance,
) -> None:
    one.states.fail(GPU, Condition.THROTTLED, 1000)
    write(one, 1, 1)
    assert one.shown() is Condition.THROTTLED


def test_what_an_answer_said_later_counts(one: Instance) -> None:
    one.states.fail(GPU, Condition.ASLEEP, None, WAKE_S)
    write(one, 1, 1, ago=KEPT_S + 1)
    assert one.shown() is Condition.WAKING
    write(one, 1, 1)
    one.states.answer(GPU, 2.0)
    write(one, 0, 0, ago=KEPT_S + 1)
    assert one.shown() is Condition.READY
    write(one, 0, 0)
    assert one.shown() is Condition.ASLEEP
    # The time per token outlives it.
    write(one, 1, 1)
    assert one.states.of(GPU).token_ms == 2.0


def test_a_request_at_fault_says_nothing_of_when_the_tier_was_ready(one: Instance) -> None:
    write(one, 0, 0)
    one.states.fail(GPU, Condition.READY, None)
    assert one.shown() is Condition.ASLEEP


def test_rows_that_nobody_renews_are_not_counted(one: Instance) -> None:
    write(one, 0, 0)
    one.clock.now += FRESH_S - 1
    assert one.shown() is Condition.ASLEEP
    one.clock.now += 2
    assert one.shown() is Condition.READY


def test_while_copies_are_on_their_way_nobody_calls(one: Instance) -> None:
    write(one, 1, 0)
    assert not one.states.claim(GPU)
    assert one.states.of(GPU).wait_s(one.mono(), WAKE_S) == WAKE_S
    one.states.fail(GPU, Condition.ASLEEP, None, WAKE_S)
    assert one.shown() is Condition.WAKING
    write(one, 0, 0)
    one.clock.now += WAKE_S
    # Nothing is on its way, and the call is long ago.
    one.store.write(ADDRESS, one.clock.now, 0, 0, "InService")
    one.read()
    assert one.shown() is Condition.ASLEEP


def test_of_all_instances_one_wakes_a_tier_in_a_minute(clock: Clock, store: Memory) -> None:
    instances = [Instance(clock, store) for _ in range(5)]
    calls: list[float] = []
    began = clock.now
    while clock.now - began < 600:
        store.write(ADDRESS, clock.now, 0, 0, "InService")
        for one in instances:
            one.read()
            shared = one.states.shared
            assert shared is not None
            if one.states.claim(GPU) and shared.may_wake(GPU):
                calls.append(clock.now)
                one.states.fail(GPU, Condition.ASLEEP, None, WAKE_S)
    assert 9 <= len(calls) <= 10
    assert min(b - a for a, b in zip(calls, calls[1:], strict=False)) >= 60
    # All of them know that it was called.
    assert {one.shown() for one in instances} == {Condition.WAKING}
    assert all(one.states.of(GPU).wait_s(one.mono(), WAKE_S) < WAKE_S for one in instances)


def test_without_dynamodb_each_instance_wakes_by_itself(clock: Clock, store: Memory) -> None:
    store.error = ConnectionError("no route")
    for one in (Instance(clock, store), Instance(clock, store)):
        one.states.fail(GPU, Condition.ASLEEP, None, WAKE_S)
        assert not one.states.claim(GPU)
        clock.now += 60
        shared = one.states.shared
        assert shared is not None
        assert (one.states.claim(GPU), shared.may_wake(GPU)) == (True, True)


def test_a_call_that_found_a_tier_asleep_is_told_to_the_others(clock: Clock, store: Memory) -> None:
    first, second = Instance(clock, store), Instance(clock, store)
    first.states.fail(GPU, Condition.ASLEEP, None, WAKE_S)
    assert first.threads.run() >= 1
    second.states.fail(GPU, Condition.ASLEEP, None, 0)
    second.read()
    assert second.shown() is Condition.WAKING
    assert not second.states.claim(GPU)
    # It was told already.
    written = store.rows[f"wake#{ADDRESS}"]
    first.states.fail(GPU, Condition.ASLEEP, None, WAKE_S)
    first.threads.run()
    assert store.rows[f"wake#{ADDRESS}"] == written


def test_a_call_of_ones_own_after_that_of_another_counts(clock: Clock, store: Memory) -> None:
    one, two = Instance(clock, store), Instance(clock, store)
    one.states.fail(GPU, Condition.ASLEEP, None, WAKE_S)
    one.threads.run()
    clock.now += 30
    two.states.fail(GPU, Condition.ASLEEP, None, WAKE_S)
    two.read()
    assert two.states.of(GPU).woken == pytest.approx(two.mono() - KEPT_S)


def test_a_tier_that_no_call_wakes_is_not_said_to_wake_by_one(clock: Clock, store: Memory) -> None:
    one, never = Instance(clock, store), target(Tier.GPU, wake_s=WAKE_S, wake=Wake.NEVER)
    store.take(replace(write_row(store, clock), key=f"wake#{ADDRESS}"), 0)
    write(one, 0, 0)
    assert one.shown(never) is Condition.ASLEEP
    assert one.shown() is Condition.WAKING


def write_row(store: Memory, clock: Clock) -> Row:
    store.write(ADDRESS, clock.now, 0, 0, "InService")
    return store.rows[f"copies#{ADDRESS}"]


def test_a_state_begins_without_any_answer() -> None:
    assert TargetState() == READY
    assert READY.seen == -math.inf
