"""The requests that are measured, the clocks that they are measured on, and the model and tiers that are asked."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.record import ROOT
from contracts.prediction import PredictRequest, TierAnswer
from contracts.routes import Route, Target
from contracts.tasks import Task, Tier
from functions.router.targets.backends import Written

# The processor's time of this process, where others take turns with it on a shared machine.
CLOCKS: Mapping[str, Callable[[], int]] = {
    "wall": time.perf_counter_ns,
    "cpu": time.process_time_ns,
}


def example_texts() -> tuple[str, ...]:
    """Return the texts of the example's evaluation rows."""
    rows = (ROOT / "examples/support-intent/eval.jsonl").read_text("utf-8").splitlines()
    return tuple(json.loads(row)["text"] for row in rows)


KEY = "benchmark"


def target(tier: Tier) -> Target:
    cpu = tier is Tier.CPU
    return Target(
        model="support-intent",
        tier=tier,
        address=f"the-{tier}",
        version="0" * 12,
        precision="int8" if cpu else "fp32",
        max_inputs=32 if cpu else 256,
        max_chars=50_000 if cpu else 500_000,
        max_tokens=128,
        timeout_s=20,
        latency_ms=((8, 3.0), (32, 8.0), (128, 30.0)) if cpu else ((8, 2.0), (128, 4.0)),
        wake_s=0.0 if cpu else 600.0,
    )


ROUTE = Route(
    model="support-intent",
    task=Task.TEXT_CLASSIFICATION,
    targets={tier: target(tier) for tier in Tier},
    labels=("order-status", "refund-status"),
    chars_per_token=4.2,
)


class Instant:
    """A tier that answers at once, so that what is left is the router's own."""

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer:
        output = {"label": "refund-status", "score": 0.98, "tokens": 9, "truncated": False}
        return TierAnswer(outputs=(output,) * len(request.inputs), version="0" * 12, elapsed_ms=1.0)

    def stream(self, target: Target, request: PredictRequest) -> Written:
        yield self.predict(target, request)


class NoRegistry:
    """A registry that is never read: predictions do not need it."""

    def releases(self, model: str) -> list[dict[str, Any]]:
        raise NotImplementedError(model)
