"""Faults begin and end by their script, are met by the calls that they are about, and are told of."""

from local.chaos.running import Chaos
from local.chaos.script import Fault, Scripted
from local.chaos.services import Called
from tests.local.chaos.watched import Watched

CPU = Called(service="lambda", name="shop-intents-cpu")
GPU = Called(service="sagemaker", name="shop-intents-gpu")
BURST = Scripted(
    target="intents/cpu", kind=Fault.THROTTLE, of=CPU, from_s=10, until_s=20, share=0.25
)


def begun(watched: Watched, *script: Scripted) -> Chaos:
    """Begin a script; the test itself looks at the faults."""
    chaos = watched.chaos()
    chaos.begin(script)
    chaos.ended.set()
    return chaos


def test_a_fault_is_met_between_its_beginning_and_its_end_alone() -> None:
    watched = Watched()
    whole = Scripted(
        target="ssm", kind=Fault.CLOSE, of=Called(service="ssm"), from_s=10, until_s=20
    )
    chaos = begun(watched, whole)
    for after, met in ((0, None), (9.9, None), (10, whole), (19.9, whole), (20, None)):
        watched.now = 1_000 + after
        assert chaos.strike(Called(service="ssm"), *Fault) is met, after
    assert chaos.met() == [2]


def test_just_the_share_of_the_calls_meets_a_fault() -> None:
    watched = Watched()
    chaos = begun(watched, BURST)
    watched.now += 10
    met = [chaos.strike(CPU, Fault.THROTTLE) is not None for _ in range(12)]
    assert met == [False, False, False, True] * 3


def test_a_call_meets_the_faults_of_its_tier_its_service_and_the_kinds_that_are_asked_for() -> None:
    of_service = Scripted(target="lambda", kind=Fault.CUT, of=Called(service="lambda"))
    of_tier = Scripted(target="intents/cpu", kind=Fault.CRASH, of=CPU)
    chaos = begun(Watched(), of_service, of_tier)
    other = Called(service="lambda", name="another")
    assert chaos.strike(CPU, Fault.CUT) is of_service
    assert chaos.strike(CPU, Fault.CRASH) is of_tier
    assert chaos.strike(other, *Fault) is of_service
    assert chaos.strike(other, Fault.CRASH) is None
    assert chaos.strike(GPU, *Fault) is None


def test_each_fault_that_begins_and_ends_is_told_once_with_the_calls_that_met_it() -> None:
    watched = Watched()
    chaos = begun(watched, BURST)
    assert watched.said == []
    for after in (10, 12, 20, 25):
        watched.now = 1_000 + after
        chaos.strike(CPU, Fault.THROTTLE)
        chaos.look()
    assert watched.said == [
        "  10 s  begins: intents/cpu throttle for 25% of the calls",
        "  20 s  ends:   intents/cpu throttle for 25% of the calls; 0 calls met it",
    ]


def test_a_tier_sleeps_from_the_moment_of_its_script_until_it_has_a_copy() -> None:
    watched = Watched()
    sleep = Scripted(target="intents/gpu", kind=Fault.ASLEEP, of=GPU, from_s=5, wake_s=60)
    chaos = begun(watched, sleep)
    assert watched.lost == {}
    watched.now += 5
    chaos.look()
    assert watched.lost == {GPU.name: 60}
    chaos.strike(GPU, Fault.ASLEEP)
    watched.now += 70
    chaos.look()
    watched.lost.clear()
    chaos.look()
    assert watched.said == [
        "   5 s  begins: intents/gpu asleep, 60 s to wake",
        "  75 s  ends:   intents/gpu asleep, 60 s to wake; 1 call met it",
    ]
    chaos.stop()
    assert watched.restored == []


def test_another_script_takes_the_place_of_one_and_wakes_what_it_put_to_sleep() -> None:
    watched = Watched()
    sleep = Scripted(target="intents/gpu", kind=Fault.ASLEEP, of=GPU, wake_s=60)
    chaos = begun(watched, sleep, Scripted(target="intents/cpu", kind=Fault.CLOSE, of=CPU))
    assert watched.lost == {GPU.name: 60}
    chaos.begin(())
    assert (watched.restored, watched.lost) == ([GPU.name], {})
    assert chaos.strike(CPU, *Fault) is None


def test_a_script_looks_at_the_clock_by_itself_and_lets_go_of_what_hangs() -> None:
    watched = Watched()
    chaos = watched.chaos()
    chaos.begin((Scripted(target="intents/cpu", kind=Fault.HANG, of=CPU, until_s=1),))
    assert chaos.thread is not None
    watched.now += 1
    # The thread ends with the last fault.
    chaos.thread.join(timeout=60)
    assert len(watched.said) == 2
    chaos.stop()
    # It would take longer than any test.
    chaos.hold(86_400)
