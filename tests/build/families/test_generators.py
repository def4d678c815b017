"""Whole builds of tiny models that write: exported with a cache, their weights made smaller, proven token by token."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from build import api
from build.evaluation.perplexity import GenerationFigures
from build.evaluation.rows import read_rows
from build.families.generators import CAUSAL, SEQ2SEQ
from build.sources.source import TransformersSource
from build.tasks.registry import TASKS
from build.workspace.progress import silent
from contracts.manifest import verify
from contracts.prediction import PredictRequest
from contracts.specs import Gate
from contracts.tasks import Task
from functions.inference.engine import Engine
from tests.fixtures.models.encoder_decoders.bart import bart as plain_bart
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import deployment, write_rows
from tests.fixtures.models.tiny_decoders import PROMPTS, gpt2, llama, reference_tokens, t5


def bart(folder: Path) -> Path:
    """Save a model that searches with several beams, whose weights are then made smaller as well."""
    path = plain_bart(folder) / "generation_config.json"
    document = json.loads(path.read_text("utf-8"))
    settings = {"num_beams": 3, "length_penalty": 2.0, "no_repeat_ngram_size": 3}
    path.write_text(json.dumps({**document, **settings}), "utf-8")
    return folder


TASK_OF: Mapping[Callable[[Path], Path], Task] = {
    gpt2: Task.TEXT_GENERATION,
    llama: Task.TEXT_GENERATION,
    t5: Task.TEXT2TEXT_GENERATION,
    bart: Task.TEXT2TEXT_GENERATION,
}
# Random weights leave the likeliest token hardly ahead of the next, so few bits change many.
GATE = Gate(max_perplexity_ratio=2, min_token_agreement=0.5)


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("make", [gpt2, llama, t5, bart])
def test_a_generator_is_built_and_generates_as_transformers_does(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    source, task = make(tmp_path / make.__name__), TASK_OF[make]
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in PROMPTS])
    out = tmp_path / "models.out"
    plan = api.plan(deployment(source, rows, task, gate=GATE), out)
    api.run(plan, out)
    full, small = (verify(out / "tiny" / tier) for tier in ("gpu", "cpu"))
    assert (full.precision, full.recipe) == ("fp32", "fp32")
    assert small.precision in ("int4", "int8")
    assert small.size < full.size
    parts = (
        {"encoder.onnx", "decoder.onnx"} if task is Task.TEXT2TEXT_GENERATION else {"model.onnx"}
    )
    assert {f.path for f in full.files} == {"probe.json", "tokenizer.json", *parts}
    engine = Engine.load(out / "tiny/gpu")
    tokenizer = engine.model.tokenizer  # type: ignore[attr-defined]
    for text in PROMPTS:
        answer = engine.predict(PredictRequest(inputs=(text,), parameters={"max_new_tokens": 16}))
        wanted = tokenizer.decode(reference_tokens(source, text, 16), skip_special_tokens=True)
        # A text that ends within a character is returned up to there.
        assert answer.outputs[0]["generated_text"].rstrip("\ufffd") == wanted.rstrip("\ufffd")
    document = json.loads((out / "tiny/evidence/cpu.json").read_text("utf-8"))
    assert [c["recipe"] for c in document["candidates"]] == [
        "fp32",
        "int8 weights",
        "int8 weights, narrow as they are",
        "int4 weights",
        "int4 weights, offsets",
        "int4 weights, offsets, narrow in 8",
    ]
    assert document["candidates"][0]["agreement"] == 1
    assert document["unit"] == "new token"
    assert "ms/new token" in (out / "tiny/report.html").read_text("utf-8")
    assert document["reference"] == "original"
    assert document["candidates"][0]["ratio"] == pytest.approx(1, abs=1e-4)
    assert "perplexity" in (out / "tiny/report.html").read_text("utf-8")


@pytest.mark.parametrize("make", [llama, t5])
def test_rows_with_a_target_are_judged_by_it(make: Callable[[Path], Path], tmp_path: Path) -> None:
    folder, task = make(tmp_path / make.__name__), TASK_OF[make]
    path = write_rows(
        tmp_path / "rows.jsonl", [{"text": text, "target": " the signal fell"} for text in PROMPTS]
    )
    source = read_as(TransformersSource, folder, task)
    rows, problems = read_rows(path, TASKS[task].rows, None)
    assert problems == []
    family = SEQ2SEQ if task is Task.TEXT2TEXT_GENERATION else CAUSAL
    found = family.reference(source, rows, tmp_path, silent).outputs
    figures = TASKS[task].comparison.measure(found, found, rows)
    assert isinstance(figures, GenerationFigures)
    assert (figures.reference, figures.agreement, figures.ratio) == ("labels", 1, 1)
    # Random weights know nothing of a text: a vocabulary has hundreds of tokens.
    assert figures.perplexity_original > 50
