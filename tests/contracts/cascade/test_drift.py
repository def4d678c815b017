"""A watch is withdrawn where the tiers disagree more often than when they were calibrated, and seldom otherwise."""

from itertools import repeat

import pytest

from contracts.cascade.drift import AT_ONCE, HORIZON, LIMIT, Baseline, Watch, watched

BASELINE = Baseline(kept=1_000, disagreed=30)


def test_nothing_is_known_of_a_new_watch_but_that_traffic_may_differ_already() -> None:
    assert Watch().evidence(BASELINE) == AT_ONCE
    assert not Watch().withdrawn(BASELINE)
    assert BASELINE.rate(Watch()) == pytest.approx(30.5 / 1_001)


def test_each_bet_is_fair_at_the_rate_that_it_is_compared_with() -> None:
    """On average over what comes next, evidence and what is still to be bet stay the same."""
    watch = watched(Watch(), BASELINE, ([True] + [False] * 19) * 20)
    rate = BASELINE.rate(watch)
    expected = sum(
        share * watched(watch, BASELINE, [disagrees]).evidence(BASELINE)
        for disagrees, share in ((True, rate), (False, 1 - rate))
    )
    bet = (1 - AT_ONCE) / HORIZON
    assert expected == pytest.approx(watch.evidence(BASELINE) + bet, rel=1e-9)


def test_a_rate_that_has_fallen_lowers_nothing() -> None:
    quiet = watched(Watch(), BASELINE, repeat(False, 5_000))
    assert BASELINE.rate(quiet) == BASELINE.rate(Watch())
    # Its return to what was calibrated is no drift, although it is a doubling of what came before.
    again = watched(quiet, BASELINE, ([True] + [False] * 32) * 60)
    assert not again.withdrawn(BASELINE)


def test_a_rate_that_has_risen_raises_what_further_inputs_are_compared_with() -> None:
    above = watched(Watch(), BASELINE, ([True] + [False] * 25) * 10)
    assert BASELINE.rate(above) > BASELINE.rate(Watch())


def test_a_withdrawn_watch_stays_as_it_is() -> None:
    end = watched(Watch(), BASELINE, repeat(True, 1_000))
    assert end.withdrawn(BASELINE)
    assert end.samples == end.disagreed < 20
    assert LIMIT <= end.evidence(BASELINE) < 4 * LIMIT
    assert watched(end, BASELINE, [False] * 10_000) == end


def test_inputs_may_come_in_parts() -> None:
    seen = [i % 17 == 0 for i in range(500)]
    parts = Watch()
    for i in range(0, 500, 7):
        parts = watched(parts, BASELINE, seen[i : i + 7])
    assert parts == watched(Watch(), BASELINE, seen)


def test_a_calibration_without_a_disagreement_is_no_proof_that_there_is_none() -> None:
    baseline = Baseline(kept=262, disagreed=0)
    assert not watched(Watch(), baseline, [True]).withdrawn(baseline)
    assert not watched(Watch(), baseline, ([True] + [False] * 400) * 5).withdrawn(baseline)
    assert watched(Watch(), baseline, ([True] + [False] * 9) * 50).withdrawn(baseline)


def test_evidence_beyond_any_float_is_a_number() -> None:
    baseline = Baseline(kept=10**6, disagreed=0)
    assert Watch(samples=10**6, disagreed=10**6).withdrawn(baseline)
