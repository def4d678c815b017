"""Answers of requests that run together, against those of each request alone, in full precision and in 8 bits.

In full precision they differ as sums in another order do. Dynamic quantization takes the range of activations over the
whole batch, so a model with it runs text by text, and its answers are the same to the last bit.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build.families.registry import family_of
from build.plan import plan
from build.proof.sealing import seal
from build.recipes.encoder import FP32_FUSED, INT8
from contracts.prediction import PredictRequest, TierAnswer
from contracts.tasks import Tier
from functions.inference.batching.side_by_side import SideBySide
from functions.inference.engine import Engine
from functions.inference.session import bound, open_session, unbound
from functions.inference.token_batches import BATCH_TOKENS, filled
from tests.fixtures.models.tiny_bert import classifier, deployment, texts, write_rows

pytestmark = pytest.mark.build

TEXTS = texts(60)
DYNAMIC = INT8[1]
# The largest difference of two scores in full precision that sums in another order make.
ROUNDING = 2e-6


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Engine]:
    """The GPU tier's candidates of a tiny BERT, by the names of their recipes."""
    folder = tmp_path_factory.mktemp("together")
    source = classifier(folder / "source")
    rows = write_rows(folder / "rows.jsonl", [{"text": text} for text in TEXTS[:12]])
    step = next(s for s in plan(deployment(source, rows), folder / "out") if s.tier is Tier.GPU)
    family, prepared = family_of(step.source), folder / "prepared"
    prepared.mkdir()
    family.prepare(step.source, prepared, lambda text: None)
    found = {}
    for recipe in (FP32_FUSED, DYNAMIC):
        parts = folder / f"parts {recipe.name}"
        parts.mkdir()
        family.make(recipe, step.source, prepared, step.rows, parts)
        seal(folder / recipe.name, step, recipe, parts, [[{}]] * len(step.rows), prepared)
        found[recipe.name] = Engine.load(folder / recipe.name)
    return found


def requests(seed: int) -> list[PredictRequest]:
    """Return requests of one to eight texts, some of them much longer than others."""
    chance = random.Random(seed)
    every = []
    for _ in range(12):
        picked = chance.sample(TEXTS, chance.randint(1, 8))
        inputs = tuple(text * chance.choice((1, 1, 1, 5)) for text in picked)
        every.append(PredictRequest(inputs=inputs, parameters={"top_k": 3}))
    return every


def together(engine: Engine, asked: Sequence[PredictRequest]) -> list[TierAnswer]:
    found = dict(engine.predict_together([engine.prepare(request) for request in asked]))
    answers = [found[place] for place in range(len(asked))]
    return [answer for answer in answers if isinstance(answer, TierAnswer)]


def scores(answer: TierAnswer) -> list[float]:
    """Return the score of every label of every output, in the order of the labels."""
    tops = [sorted(output["top"], key=lambda one: str(one["label"])) for output in answer.outputs]
    return [one["score"] for top in tops for one in top]


def differences(engine: Engine) -> list[float]:
    """Return the largest difference of a score in each of several rounds of requests."""
    found = []
    for seed in range(4):
        asked = requests(seed)
        answers = together(engine, asked)
        assert len(answers) == len(asked)
        for answer, request in zip(answers, asked, strict=True):
            alone = engine.predict(request)
            assert [o["tokens"] for o in answer.outputs] == [o["tokens"] for o in alone.outputs]
            found.append(float(np.abs(np.subtract(scores(answer), scores(alone))).max()))
    return found


def test_a_model_in_full_precision_answers_as_alone_but_for_rounding(
    engines: dict[str, Engine],
) -> None:
    engine = engines[FP32_FUSED.name]
    assert engine.manifest.batches
    assert max(differences(engine)) < ROUNDING


def test_a_model_of_dynamic_ranges_answers_exactly_as_alone(engines: dict[str, Engine]) -> None:
    engine = engines[DYNAMIC.name]
    assert not engine.manifest.batches
    assert max(differences(engine)) == 0
    # If it did run them together, answers would change by more than rounding.
    model: Any = engine.batching
    batched = replace(model, manifest=replace(engine.manifest, batches=True))
    worse = differences(replace(engine, model=batched, batching=batched))
    assert max(worse) > 100 * ROUNDING


def test_a_binding_changes_no_bit_of_an_answer(engines: dict[str, Engine], tmp_path: Path) -> None:
    engine = engines[FP32_FUSED.name]
    model: Any = engine.batching
    folder = next(tmp_path.parent.glob(f"together*/{FP32_FUSED.name}"))
    session = open_session(folder / "model.onnx", threads=1, device="cpu")
    feeds = filled(model.input_names, engine.manifest, BATCH_TOKENS)
    assert np.array_equal(bound(session)(feeds), unbound(session)(feeds))
    assert np.array_equal(model.forward(feeds), unbound(session)(feeds))


@pytest.mark.parametrize("name", [FP32_FUSED.name, DYNAMIC.name])
def test_texts_on_a_core_each_change_no_bit_of_an_answer(
    engines: dict[str, Engine], tmp_path: Path, name: str
) -> None:
    folder = next(tmp_path.parent.glob(f"together*/{name}"))
    engine = Engine.load(folder, threads=2)
    model: Any = engine.model
    asked = PredictRequest(inputs=tuple(text * 3 for text in TEXTS), parameters={"top_k": 3})
    shared = engine.predict(asked)
    several = SideBySide(
        2,
        open_one_thread=lambda: unbound(
            open_session(folder / "model.onnx", threads=1, device="cpu")
        ),
        opening_s=0,
        room=lambda: True,
    )
    alone: Any = replace(model, lanes=several)
    assert replace(engine, model=alone, batching=alone).predict(asked).outputs == shared.outputs


def test_the_warm_up_runs_the_largest_batch_and_finds_what_a_pass_costs(
    engines: dict[str, Engine],
) -> None:
    for name in (FP32_FUSED.name, DYNAMIC.name):
        engine = engines[name]
        model: Any = engine.batching
        shapes: list[tuple[int, int]] = []

        def forward(feeds: Any, model: Any = model, shapes: Any = shapes) -> Any:
            shapes.append(feeds["input_ids"].shape)
            # A pass costs as much as 1,000 tokens.
            time.sleep((1000 + feeds["input_ids"].size) * 4e-6)
            return model.forward(feeds)

        warm: Any = replace(engine, batching=replace(model, forward=forward)).warmed_up().batching
        tokens = engine.manifest.max_tokens
        rows = BATCH_TOKENS // tokens if engine.manifest.batches else 1
        assert shapes == [(rows, tokens)] * 2 + [(1, 8)] * 2
        if engine.manifest.batches:
            assert 200 < warm.costs.run < 5000
