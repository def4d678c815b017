"""Copies of a component over time: out under load, in after a quarter of an hour, to none and back."""

from dataclasses import replace

import pytest

from contracts.scaling.copies import Copies, Policy

POLICY = Policy(
    min_copies=0,
    max_copies=3,
    requests_per_copy=2,
    scale_in_cooldown_s=300,
    wake_s=60,
    start_s=100,
    release_s=600,
)


def load(copies: Copies, since: float, until: float, at_once: int) -> None:
    """Keep so many requests running at once."""
    at = since
    while at < until:
        for _ in range(at_once):
            copies.arrive(at, 10)
        at += 10


def test_a_tier_that_nobody_calls_sleeps_after_a_quarter_of_an_hour() -> None:
    copies = Copies(POLICY, 0, 1)
    copies.advance(899)
    assert (copies.wanted, copies.in_service) == (1, 1)
    copies.advance(900)
    assert (copies.wanted, copies.in_service) == (0, 0)


def test_a_sleeping_tier_wakes_after_its_alarm_and_its_start() -> None:
    copies = Copies(POLICY, 0, 0)
    assert not copies.arrive(5, 1)
    copies.advance(64)
    assert copies.wanted == 0
    copies.advance(65)
    assert (copies.wanted, copies.in_service, copies.wakes) == (1, 0, 1)
    assert not copies.arrive(164, 1)
    assert copies.arrive(165, 1)


def test_requests_while_it_wakes_ask_for_no_more_copies() -> None:
    copies = Copies(POLICY, 0, 0)
    answered = [copies.arrive(float(second), 0.1) for second in range(200)]
    assert answered.index(True) == 160
    assert all(answered[160:])
    assert (copies.wanted, copies.wakes) == (1, 1)


def test_a_sleeping_tier_that_nobody_calls_sleeps_on() -> None:
    copies = Copies(POLICY, 0, 0)
    copies.advance(100_000)
    assert (copies.wanted, copies.copy_s, copies.instance_s) == (0, 0, 0)


def test_load_above_the_target_for_three_datapoints_wants_the_copies_it_needs() -> None:
    copies = Copies(POLICY, 0, 1)
    load(copies, 0, 30, 5)
    assert copies.wanted == 1
    load(copies, 30, 40, 5)
    assert (copies.wanted, copies.in_service) == (3, 1)
    copies.advance(130)
    assert copies.in_service == 3


def test_no_load_wants_more_than_the_most_copies() -> None:
    copies = Copies(POLICY, 0, 1)
    load(copies, 0, 60, 50)
    assert copies.wanted == 3


def test_more_load_waits_for_the_cooldown_of_the_copies_before() -> None:
    copies = Copies(replace(POLICY, scale_out_cooldown_s=300), 0, 1)
    load(copies, 0, 40, 3)
    assert copies.wanted == 2
    load(copies, 40, 330, 50)
    assert copies.wanted == 2
    load(copies, 330, 360, 50)
    assert copies.wanted == 3


def test_load_at_the_target_changes_nothing() -> None:
    copies = Copies(POLICY, 0, 1)
    load(copies, 0, 2000, 2)
    assert copies.wanted == 1


def test_copies_stay_for_the_cooldown_after_others_have_gone() -> None:
    copies = Copies(replace(POLICY, scale_in_cooldown_s=1200), 0, 3)
    load(copies, 0, 910, 4)
    assert copies.wanted == 2
    # The load ends. A quarter of an hour later the others could go, but for the cooldown since the first one went.
    copies.advance(2099)
    assert copies.wanted == 2
    copies.advance(2100)
    assert copies.wanted == 0


def test_bounds_of_a_schedule_are_applied_at_once() -> None:
    copies = Copies(POLICY, 0, 0)
    copies.bound(50, min_copies=1, max_copies=3)
    assert (copies.wanted, copies.in_service) == (1, 0)
    copies.advance(150)
    assert copies.in_service == 1
    copies.advance(10_000)
    assert copies.in_service == 1
    copies.bound(10_000, min_copies=0, max_copies=3)
    copies.advance(10_010)
    assert copies.in_service == 0


def test_an_instance_is_billed_from_its_start_until_it_is_released() -> None:
    copies = Copies(POLICY, 0, 1)
    copies.advance(900 + 599)
    assert (copies.copy_s, copies.instance_s) == (900, 1499)
    copies.advance(5000)
    assert (copies.copy_s, copies.instance_s) == (900, 1500)
    copies.arrive(5000, 1)
    copies.advance(5060)
    assert copies.instance_s == 1500
    copies.advance(5160)
    assert copies.instance_s == 1600


def test_an_instance_that_has_not_left_takes_the_next_copy() -> None:
    copies = Copies(POLICY, 0, 1)
    copies.arrive(1000, 1)
    copies.advance(1100)
    # In service until 900, leaving from then on, wanted again at 1060: one instance all the time.
    assert copies.instance_s == 1100
    assert copies.copy_s == 900 + 40


def test_an_update_leaves_the_copies_of_its_template() -> None:
    copies = Copies(POLICY, 0, 0)
    copies.arrive(0, 1)
    copies.set(10, 1)
    assert copies.arrive(11, 1)
    copies.advance(500)
    assert copies.wakes == 0


@pytest.mark.parametrize("busy_s", [0.001, 9.999, 10, 25])
def test_the_load_is_the_time_that_copies_are_busy(busy_s: float) -> None:
    copies = Copies(POLICY, 0, 1)
    copies.arrive(3, busy_s)
    assert sum(copies._busy_s.values()) == pytest.approx(busy_s)
