"""An embedder and a reranker of Qwen3 from their folders to sealed artefacts, which the function serves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build import api
from build.reading.outputs import run_library
from build.sources.source import TransformersSource
from contracts.manifest import verify
from contracts.tasks import Task
from tests.build.reading.decoders.models import (
    NORMALIZE,
    PAD,
    TEXTS,
    pooled,
    qwen3,
    ranked,
    reranker,
    with_modules,
)
from tests.fixtures.cpu_function import run
from tests.fixtures.models.tiny_bert import CPU, deployment, write_rows

SHORT = "{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}<|im_end|>"


def embedder(folder: Path) -> Path:
    qwen3(folder, "Qwen3Model", around=f"$A {PAD}", num_hidden_layers=1)
    return with_modules(folder, pooled("lasttoken"), NORMALIZE)


def short_reranker(folder: Path) -> Path:
    return reranker(folder, template=SHORT, context=96, num_hidden_layers=1)


# Without the place of the best text, which random weights know no better than chance.
RANKED = [{"query": row["query"], "texts": row["texts"][:2]} for row in ranked(TEXTS)]
MODELS: Mapping[str, tuple[Task, Callable[[Path], Path], Sequence[dict[str, Any]]]] = {
    "embedder": (Task.FEATURE_EXTRACTION, embedder, [{"text": text} for text in TEXTS]),
    "reranker": (Task.TEXT_RANKING, short_reranker, RANKED),
}


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_built_whole_and_served_by_the_function(tmp_path: Path, name: str) -> None:
    task, make, rows = MODELS[name]
    source, table = make(tmp_path / "source"), {"cpu": replace(CPU, max_tokens=None), "gpu": None}
    path, out = write_rows(tmp_path / "rows.jsonl", rows), tmp_path / "out"
    steps = api.plan(deployment(source, path, task, **table), out)
    api.run(steps, out)
    assert verify(out / "tiny/cpu").task is task
    (step,) = steps
    assert isinstance(step.source, TransformersSource)
    (right, *_) = run_library(step.source, step.rows[:1]).outputs
    ran = run(out / "tiny/cpu", {"probe": True}, step.rows[0].request.to_wire())
    assert ran.answers[0] == {"version": ran.answers[1]["version"]}
    found = ran.answers[1]["outputs"]
    for one, other in zip(found, right, strict=True):
        if task is Task.TEXT_RANKING:
            assert one["score"] == pytest.approx(other["score"], abs=0.05)
        else:
            assert np.dot(one["embedding"], other["embedding"]) > 0.98
