"""A new version of a CPU function behind its alias: a tenth of the requests, and all of them or none after that."""

import math
from collections import Counter

from contracts.names import canary_parameter, release_parameter
from contracts.tasks import Tier
from tests.local.canaries.conftest import SECOND, Canary, first_version, resources


def test_a_good_version_gets_a_tenth_of_the_requests_and_then_all(canary: Canary) -> None:
    first, asked = first_version(), 600
    canary.deploy(resources(second=True))
    assert canary.shifting() != canary.alias()["FunctionVersion"]
    # What is served is what the registry says: the old version, and a share of the canary.
    assert canary.released() == (first, SECOND)
    assert canary.told(canary_parameter("shop", "intents"))["percent"] == 10
    share = Counter(canary.ask(asked))
    assert set(share) == {first, SECOND}
    # Five standard deviations.
    assert abs(share[SECOND] - asked * 0.1) < 5 * math.sqrt(asked * 0.09)
    # A request for one version alone gets that one, by its own address.
    for name in (
        release_parameter("shop", "intents", Tier.CPU),
        canary_parameter("shop", "intents"),
    ):
        facts = canary.told(name)
        answers = [canary.client.invoke(facts["own_address"], {})[0] for _ in range(20)]
        assert answers == [{"version": facts["version"]}] * 20
    canary.hosts.now += 599
    assert (canary.weights() == {}, canary.status) == (False, "")
    canary.hosts.now += 1
    assert canary.ended() == "UPDATE_COMPLETE", canary.reasons()
    assert canary.released() == (SECOND, SECOND)
    assert (canary.weights(), set(canary.ask(50))) == ({}, {SECOND})


def test_a_version_that_crashes_is_taken_back_and_the_old_one_serves_on(canary: Canary) -> None:
    first = first_version()
    canary.hosts.crashing = {SECOND}
    canary.deploy(resources(second=True))
    canary.shifting()
    answers: list[str] = []
    while "Unhandled" not in answers:
        answers += canary.ask()
    assert canary.ended() == "UPDATE_ROLLBACK_COMPLETE"
    assert "failed. One or more alarms have been activated" in canary.reasons()
    assert (canary.weights(), canary.released()) == ({}, (first, first))
    # Nothing failed that was not the canary's own, and nothing fails any more.
    assert canary.hosts.asked[SECOND] == answers.count("Unhandled")
    assert set(canary.ask(50)) == {first}
    # The next version is not held up by the alarm of this one.
    canary.hosts.crashing = set()
    canary.deploy(resources(second=True))
    canary.shifting()
    canary.hosts.now += 600
    assert canary.ended() == "UPDATE_COMPLETE", canary.reasons()


def test_a_version_that_fails_its_probe_gets_no_request(canary: Canary) -> None:
    canary.hosts.unready = {SECOND}
    canary.deploy(resources(second=True))
    assert canary.ended() == "UPDATE_ROLLBACK_COMPLETE"
    assert "probe_failed" in canary.reasons()
    assert canary.released() == (first_version(), first_version())
    assert set(canary.ask(50)) == {first_version()}
    assert canary.hosts.asked[SECOND] == 0


def test_an_alarm_whose_state_is_set_takes_a_canary_back_as_well(canary: Canary) -> None:
    canary.deploy(resources(second=True))
    canary.shifting()
    api = canary.client.client("cloudwatch")
    (alarm,) = api.describe_alarms()["MetricAlarms"]
    api.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="ALARM", StateReason="by hand")
    assert canary.ended() == "UPDATE_ROLLBACK_COMPLETE"
    assert f"Activated alarms: <{alarm['AlarmName']}>" in canary.reasons()
    assert set(canary.ask(20)) == {first_version()}
