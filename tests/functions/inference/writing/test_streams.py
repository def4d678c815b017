"""A model's stream is its whole answer in deltas, comes as it is written, and ends when nobody takes it any more."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.http_errors import InvalidInput, ModelFailed
from contracts.manifest import Manifest
from contracts.prediction import PredictRequest, TierAnswer
from contracts.streaming import Delta
from contracts.tasks import Task, Tier
from functions.inference.decoder import Cache
from functions.inference.engine import Engine
from functions.inference.generation import Generator
from functions.inference.seq2seq import Seq2Seq
from tests.fixtures.models.tiny import artefact
from tests.fixtures.models.tiny_decoders import PROMPTS, Recorder, built, gpt2, opened, t5

pytestmark = pytest.mark.build

MAKERS: dict[str, Callable[[Path], Path]] = {"gpt2": gpt2, "t5": t5}
Writer = Generator | Seq2Seq
TEXTS = {"max_new_tokens": 20}


def engine_of(model: Writer) -> Engine:
    manifest = Manifest(
        model="tiny",
        task=Task.TEXT_GENERATION,
        tier=Tier.CPU,
        precision="fp32",
        recipe="fp32",
        max_tokens=48,
        details={},
        toolchain={},
    )
    return Engine(manifest=manifest, model=model, max_inputs=64)


@pytest.fixture(scope="module", params=MAKERS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Writer:
    source = MAKERS[request.param](tmp_path_factory.mktemp("source") / request.param)
    found: Writer = opened(source, built(source, tmp_path_factory.mktemp("built") / "cpu"))
    return found


@pytest.fixture(scope="module")
def searching(tmp_path_factory: pytest.TempPathFactory) -> Writer:
    source = gpt2(tmp_path_factory.mktemp("source") / "gpt2")
    folder = built(source, tmp_path_factory.mktemp("built") / "cpu", beams=True)
    found: Writer = opened(source, folder, generation_config={"num_beams": 3})
    return found


def streamed(model: Writer, request: PredictRequest) -> tuple[list[Delta], TierAnswer]:
    *deltas, answer = engine_of(model).stream(request)
    assert isinstance(answer, TierAnswer)
    found = [delta for delta in deltas if isinstance(delta, Delta)]
    assert len(found) == len(deltas)
    return found, answer


@pytest.mark.parametrize(
    "parameters",
    [
        TEXTS,
        {**TEXTS, "stop": ["e", "a", "\ufffd"]},
        {**TEXTS, "do_sample": True, "temperature": 3.0, "seed": 11},
    ],
    ids=["greedy", "stop", "sampled"],
)
def test_the_deltas_of_each_text_are_its_whole_answer(
    model: Writer, parameters: dict[str, Any]
) -> None:
    request = PredictRequest(inputs=PROMPTS, parameters=parameters)
    deltas, answer = streamed(model, request)
    whole = engine_of(model).predict(request)
    assert replace(answer, elapsed_ms=0.0) == replace(whole, elapsed_ms=0.0)
    joined = {i: "".join(d.text for d in group) for i, group in groupby(deltas, lambda d: d.index)}
    for index, output in enumerate(whole.outputs):
        assert joined.get(index, "") == output["generated_text"]
    assert len(deltas) > 2 * len(joined)


def test_a_delta_is_sent_before_the_next_token_is_computed(model: Writer) -> None:
    recorder = Recorder(model.decoder)
    stream = engine_of(replace(model, decoder=recorder)).stream(
        PredictRequest(inputs=("The train",), parameters=TEXTS)
    )
    assert recorder.reads == []
    next(stream)
    first = len(recorder.reads)
    next(stream)
    assert 0 < first < len(recorder.reads) < 20


def test_the_work_ends_with_the_stream(model: Writer) -> None:
    recorder = Recorder(model.decoder)
    engine = engine_of(replace(model, decoder=recorder))
    stream = engine.stream(PredictRequest(inputs=PROMPTS, parameters=TEXTS))
    next(stream)
    before = len(recorder.reads)
    stream.close()
    assert list(stream) == []
    assert len(recorder.reads) == before


def test_the_text_of_a_search_comes_at_its_end(searching: Writer) -> None:
    request = PredictRequest(inputs=("The train", "and"), parameters=TEXTS)
    deltas, answer = streamed(searching, request)
    texts = [output["generated_text"] for output in answer.outputs]
    assert [(delta.index, delta.text) for delta in deltas] == list(enumerate(texts))


def test_the_full_text_begins_with_the_prompt(searching: Writer) -> None:
    parameters = {**TEXTS, "return_full_text": True}
    request = PredictRequest(inputs=("The train",), parameters=parameters)
    deltas, answer = streamed(searching, request)
    assert [delta.text for delta in deltas][:1] == ["The train"]
    assert "".join(delta.text for delta in deltas) == answer.outputs[0]["generated_text"]


def test_a_stream_stops_at_its_deadline(model: Writer) -> None:
    class Late(Recorder):
        """A decoder whose third step takes until the deadline."""

        def run(self, tokens: Sequence[int], cache: Cache) -> Any:
            while len(self.reads) == 2 and time.monotonic() <= deadline:
                time.sleep(0.01)
            return super().run(tokens, cache)

    deadline = time.monotonic() + 2
    late = replace(model, decoder=Late(model.decoder))
    request = PredictRequest(inputs=("The train", "and"), parameters=TEXTS, deadline=deadline)
    deltas, answer = streamed(late, request)
    assert [output["finish_reason"] for output in answer.outputs] == ["time", "time"]
    assert {delta.index for delta in deltas} <= {0}


def test_a_failure_comes_behind_what_was_written_before(model: Writer) -> None:
    class Broken(Recorder):
        """A decoder whose fifth step is no numbers."""

        def run(self, tokens: Sequence[int], cache: Cache) -> Any:
            logits, cache = super().run(tokens, cache)
            return (logits if len(self.reads) < 5 else np.full_like(logits, np.nan)), cache

    broken = replace(model, decoder=Broken(model.decoder))
    found = []

    def collected() -> Iterator[object]:
        for item in engine_of(broken).stream(PredictRequest(inputs=("The train",))):
            found.append(item)
            yield item

    with pytest.raises(ModelFailed, match="not finite"):
        list(collected())
    assert found
    assert all(isinstance(item, Delta) for item in found)


def test_a_request_that_cannot_be_answered_is_refused_before_anything_is_written(
    model: Writer,
) -> None:
    with pytest.raises(InvalidInput, match="max_new_tokens"):
        engine_of(model).stream(PredictRequest(inputs=("a",), parameters={"max_new_tokens": 0}))


def test_a_model_that_writes_no_text_has_no_stream(tmp_path: Path) -> None:
    engine = Engine.load(artefact(tmp_path / "cpu"))
    with pytest.raises(InvalidInput, match="writes no text"):
        engine.stream(PredictRequest(inputs=("fine",)))
