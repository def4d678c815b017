"""Sentence encoders on many texts at once: ours, text by text as well, and sentence-transformers on torch.

A run is the list of items; the answer is one vector for each. What has a batch size is run with the best of SIZES for
those items, which its first run finds.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.contenders import Item, Opened, Setting

SIZES = (1, 8, 16)
Items = Sequence[Item]


def ours(setting: Setting) -> Opened:
    """Open the path of a request from its texts to its answer, as it is served."""
    return _ours(setting, side_by_side=True)


def text_by_text(setting: Setting) -> Opened:
    """Open the same with all threads on one batch after the other."""
    return _ours(setting, side_by_side=False)


def _ours(setting: Setting, *, side_by_side: bool) -> Opened:
    from contracts.prediction import PredictRequest
    from functions.inference.batching.side_by_side import ONE_LANE
    from functions.inference.engine import Engine

    engine = Engine.load(setting.artefact, threads=setting.threads, max_inputs=1_000_000)
    if not side_by_side:
        model: Any = engine.model
        alone: Any = replace(model, lanes=ONE_LANE)
        engine = replace(engine, model=alone, batching=alone)

    def run(items: Items) -> list[list[float]]:
        answer = engine.predict(PredictRequest(inputs=tuple(item.text for item in items)))
        return [output["embedding"] for output in answer.outputs]

    return Opened(run=run, version=engine.manifest.version)


def sentence_transformers(setting: Setting) -> Opened:
    """Open sentence-transformers on torch in full precision, which sorts texts by length itself."""
    import sentence_transformers
    import torch

    torch.set_num_threads(setting.threads)
    model = sentence_transformers.SentenceTransformer(
        str(setting.model), device="cpu", local_files_only=True
    )
    return opened_model(model)


def opened_model(model: Any) -> Opened:
    """Return a SentenceTransformer as a contender, from texts to vectors."""
    import sentence_transformers

    def run(items: Items, size: int) -> list[list[float]]:
        texts = [item.text for item in items]
        vectors: list[list[float]] = model.encode(
            texts, batch_size=size, show_progress_bar=False
        ).tolist()
        return vectors

    return Opened(run=Best(run), version=sentence_transformers.__version__)


class Best:
    """Runs items in batches of the size that took them the least time."""

    def __init__(self, run: Callable[[Items, int], list[list[float]]]) -> None:
        self.run = run
        self.size: dict[tuple[Item, ...], int] = {}

    def __call__(self, items: Items) -> list[list[float]]:
        key = tuple(items)
        if key not in self.size:
            self.size[key] = min(SIZES, key=lambda size: self._took(items, size))
        return self.run(items, self.size[key])

    def _took(self, items: Items, size: int) -> float:
        """Return the shorter of two times, of the processor: others may be at it as well."""
        took = []
        for _ in range(2):
            start = time.process_time()
            self.run(items, size)
            took.append(time.process_time() - start)
        return min(took)
