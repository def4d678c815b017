"""A sample is sent beside the answer: as an event to the sampling function, and never at the cost of the request."""

import logging
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import pytest

from contracts.cascade.sampling import Sample
from contracts.http_errors import TierUnavailable
from contracts.limits import LAMBDA_EVENT_BYTES
from contracts.routes import Cascade
from functions.router.answering.sampling import Sampling, Sender
from functions.router.targets.backends import LambdaBackend
from tests.fixtures.router_app import target
from tests.functions.event_loop import run_coroutine
from tests.functions.router.answering.deployment import CPU, GPU, ROUTE, Deployment, deploy
from tests.functions.router.answering.scripted import ASLEEP, DOWN, Step

CASCADE = Cascade(
    threshold=0.8, parameters={}, rows=500, kept=0.7, lost=0.0, bound=0.01, assurance=0.95
)
GPU_TARGET = target(GPU, sample=0.5, wake_s=600)
SAMPLED = replace(ROUTE, targets={CPU: target(CPU), GPU: GPU_TARGET}, cascade=CASCADE)
SECRET = "my account number is 17"
INPUTS = (SECRET, "two", "three")
SMALL = Step(
    body={
        "outputs": [{"label": "small", "score": score} for score in (0.9, 0.5, 0.8)],
        "version": "small",
        "elapsed_ms": 2,
    }
)
LARGE = Step(
    body={"outputs": [{"label": "large", "score": 0.4}], "version": "large", "elapsed_ms": 2}
)
ACCEPTED = Step(status=202)


@dataclass(slots=True)
class Sent:
    """A sender that keeps what is sent, after an error if it has one."""

    error: Exception | None = None
    events: list[tuple[str, bytes]] = field(default_factory=list)

    def send(self, function: str, payload: bytes) -> None:
        if self.error:
            raise self.error
        self.events.append((function, payload))


@dataclass(slots=True)
class Hangs:
    """A sender that hangs until it is released."""

    released: threading.Event = field(default_factory=threading.Event)

    def send(self, function: str, payload: bytes) -> None:
        self.released.wait(60)


def sampling(
    both: Deployment, sender: Sender | None, draw: float = 0.0, patience_s: float = 60
) -> Deployment:
    both.answering.sampling = Sampling("shop-sampler:live", sender, lambda: draw, patience_s)
    return both


def two_tiers(stack: ExitStack, cpu: tuple[Step, ...] = (SMALL,), *gpu: Step) -> Deployment:
    return deploy(stack, cpu, gpu or (LARGE,))


def test_a_sample_is_an_event_for_the_sampling_function(stack: ExitStack) -> None:
    both = two_tiers(stack, (SMALL, ACCEPTED))
    backend = both.answering.attempts.backends[CPU]
    assert isinstance(backend, LambdaBackend)
    sampling(both, backend)
    answer = both.ask(SAMPLED, inputs=INPUTS)
    assert answer.reason == "escalated"
    asked, event = both.cpu.seen
    assert asked["inputs"] == list(INPUTS)
    sample = Sample.from_wire(event)
    assert (sample.inputs, sample.kept, sample.address) == (
        (SECRET, "three"),
        (True, True),
        "the-gpu",
    )
    assert (sample.version, sample.newest) == ("small", SAMPLED.targets[CPU].version)
    assert sample.to_wire() == Sample.from_wire(sample.to_wire()).to_wire()
    assert both.cpu.headers[-1]["X-Amz-Invocation-Type"] == "Event"
    assert both.log == {"tier": CPU, "reason": "escalated", "escalated": 1, "sampled": 2}


def test_of_other_requests_nothing_is_sent(stack: ExitStack) -> None:
    sent = Sent()
    both = sampling(two_tiers(stack), sent, draw=0.5)
    both.ask(SAMPLED, inputs=INPUTS)
    assert (sent.events, "sampled" in both.log) == ([], False)


def test_without_a_sampling_function_nothing_is_sampled(stack: ExitStack) -> None:
    both = two_tiers(stack)
    both.ask(SAMPLED, inputs=INPUTS)
    assert (both.counts(), "sampled" in both.log) == ((1, 1), False)


@pytest.mark.parametrize("error", [OSError(SECRET), KeyError(SECRET)])
def test_a_sample_that_is_not_accepted_costs_the_caller_nothing_and_is_not_logged(
    stack: ExitStack, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    both = sampling(two_tiers(stack), Sent(error=error))
    with caplog.at_level(logging.INFO, "turnout.router"):
        answer = both.ask(SAMPLED, inputs=INPUTS)
    assert [one["label"] for one in answer.answer.outputs] == ["small", "large", "small"]
    assert "sampled" not in both.log
    assert caplog.messages == [f"a sample is lost: {type(error).__name__}"]


def test_a_function_that_lambda_refuses_costs_the_caller_nothing(stack: ExitStack) -> None:
    both = two_tiers(stack, (SMALL, DOWN, SMALL))
    backend = both.answering.attempts.backends[CPU]
    assert isinstance(backend, LambdaBackend)
    sampling(both, backend)
    assert both.ask(SAMPLED, inputs=INPUTS).reason == "escalated"
    # Nothing is said of the CPU tier by it.
    assert both.answering.attempts.states.of(SAMPLED.targets[CPU]).failures == 0


def test_a_sample_is_waited_for_no_longer_than_its_patience(stack: ExitStack) -> None:
    hangs = Hangs()
    stack.callback(hangs.released.set)
    both = sampling(two_tiers(stack), hangs, patience_s=0.01)
    assert both.ask(SAMPLED, inputs=INPUTS).reason == "escalated"
    assert not hangs.released.is_set()
    assert "sampled" not in both.log


def test_a_sample_is_sent_even_if_the_request_fails_then(stack: ExitStack) -> None:
    sent = Sent()
    both = sampling(two_tiers(stack, (SMALL,), ASLEEP), sent)
    with pytest.raises(TierUnavailable):
        both.ask(SAMPLED, inputs=INPUTS, allow_degraded=False)
    assert len(sent.events) == 1


def test_a_withdrawn_threshold_sends_what_it_would_have_kept_to_the_gpu_tier(
    stack: ExitStack,
) -> None:
    both = sampling(two_tiers(stack), Sent())
    both.answering.attempts.drift = lambda route: {"withdrawn": route is SAMPLED}
    answer = both.ask(SAMPLED, inputs=INPUTS[:1])
    assert (answer.target.tier, answer.reason, answer.degraded) == (GPU, "withdrawn", False)
    assert both.counts() == (0, 1)


@pytest.mark.parametrize(("length", "accepted"), [(1_000, True), (LAMBDA_EVENT_BYTES, False)])
def test_what_lambda_would_not_take_is_not_sent(length: int, accepted: bool) -> None:
    sent = Sent()
    sample = Sample(
        model="m", task=SAMPLED.task, address="the-gpu", sleeps=True, inputs=("a" * length,), parameters={},
        version="v", newest="v", outputs=({"label": "a"},), kept=(True,), shadow=False,
    )  # fmt: skip
    assert run_coroutine(Sampling("f", sent).send(sample)) is accepted
    assert len(sent.events) == accepted
