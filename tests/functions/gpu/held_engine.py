"""An engine whose runs take until they are let go."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from contracts.prediction import TierAnswer
from functions.inference.engine import Engine, Prediction

HELD = "held"


class HeldEngine:
    """A real engine that keeps the inputs of each run, and holds a run whose first input is HELD until `go` is set."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.go, self.begun = threading.Event(), threading.Semaphore(0)
        self.runs: list[list[tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def predict_together(
        self, predictions: Sequence[Prediction]
    ) -> Iterator[tuple[int, TierAnswer | Exception]]:
        self.runs.append([each.request.inputs for each in predictions])
        if predictions[0].request.inputs[0] == HELD:
            self.begun.release()
            assert self.go.wait(20)
        yield from self.engine.predict_together(predictions)
