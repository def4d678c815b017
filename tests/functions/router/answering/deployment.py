"""Two tiers at scripted servers, behind the router's answering, with a clock that can be put forward."""

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from botocore.config import Config

from contracts.http_errors import ServingError
from contracts.prediction import PredictRequest
from contracts.routes import Route, Target
from contracts.tasks import Tier
from functions.router.answering.answers import Answer, Answering
from functions.router.answering.budget import RetryBudget
from functions.router.targets.backends import Backend, LambdaBackend, SageMakerBackend
from functions.router.targets.health import States
from tests.fixtures.fake_aws import client
from tests.fixtures.router_app import INTENTS, target
from tests.functions.event_loop import run_coroutine
from tests.functions.router.answering.scripted import ANSWERS, Scripted, Step, running

CPU, GPU = Tier.CPU, Tier.GPU
WAKE_S = 600
ROUTE = replace(INTENTS, targets={CPU: target(CPU), GPU: target(GPU, wake_s=WAKE_S)})


@dataclass(slots=True)
class Clock:
    """The real clock, which a test can put forward, or stop."""

    ahead: float = 0.0
    stopped: float | None = None

    def __call__(self) -> float:
        return (time.monotonic() if self.stopped is None else self.stopped) + self.ahead

    def stop(self) -> None:
        self.stopped = time.monotonic()


@dataclass(slots=True)
class Deployment:
    """Two tiers behind an Answering, and the log fields of the last request."""

    cpu: Scripted
    gpu: Scripted
    answering: Answering
    clock: Clock
    log: dict[str, Any]

    def ask(self, route: Route = ROUTE, within_s: float = 20, **options: Any) -> Answer:
        """Return the answer; on a clock that is ahead, since that of the backends is not."""
        request = PredictRequest(**{"inputs": ("a text",), **options})
        self.log = {}
        due = replace(request, deadline=self.clock() + within_s)
        return run_coroutine(self.answering.answer(due, route, self.log))

    def counts(self) -> tuple[int, int]:
        """Return how many requests reached the CPU tier and the GPU tier since the last call."""
        counts = len(self.cpu.seen), len(self.gpu.seen)
        self.cpu.seen.clear()
        self.gpu.seen.clear()
        return counts


class TakenByAnother(States):
    """States of which another request takes every trial first."""

    def claim(self, target: Target) -> bool:
        super().claim(target)
        return super().claim(target)


def deploy(
    stack: ExitStack, cpu: tuple[Step, ...], gpu: tuple[Step, ...] = (ANSWERS,)
) -> Deployment:
    return over(stack, stack.enter_context(running(*cpu)), stack.enter_context(running(*gpu)))


def over(
    stack: ExitStack, cpu: Scripted, gpu: Scripted, budget: RetryBudget | None = None
) -> Deployment:
    clock = Clock()

    def make(address: str, service: str, config: Config) -> Any:
        made = client(address, service, config)
        # Connections are kept, and have to end before their servers do.
        stack.callback(made.close)
        return made

    backends: dict[Tier, Backend] = {
        CPU: LambdaBackend(partial(make, cpu.address)),
        GPU: SageMakerBackend(partial(make, gpu.address), lambda target: ""),
    }
    answering = Answering(backends, States(clock), budget, clock)
    return Deployment(cpu=cpu, gpu=gpu, answering=answering, clock=clock, log={})


def told(both: Deployment, **options: Any) -> Tier | int:
    """Return the tier that answers, or the status of the error."""
    try:
        return both.ask(**options).target.tier
    except ServingError as error:
        return error.status
