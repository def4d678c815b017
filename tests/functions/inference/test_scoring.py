"""Texts scored by the code that serves it, over an n-gram graph that a person can check."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from build.families.ngram_graph import ngram_graph, tokenizer_of
from build.sources.arpa.parser import read
from contracts.http_errors import InvalidInput
from contracts.manifest import MANIFEST, Manifest, sealed_files
from contracts.prediction import PredictRequest
from contracts.tasks import Task, Tier
from functions.inference.engine import Engine
from functions.inference.scoring import Scorer, perplexity, windows
from tests.fixtures.models.tiny_ngrams import by_hand, little, log10, random_model
from tests.fixtures.problems import assert_request_problems, raises
from tests.fixtures.schema_checks import predict

MOST = 16
LN10 = math.log(10)


def seal(folder: Path, max_tokens: int = MOST) -> Path:
    manifest = Manifest(
        model="tiny",
        task=Task.LANGUAGE_MODEL_SCORING,
        tier=Tier.CPU,
        precision="fp32",
        recipe="fp32",
        max_tokens=max_tokens,
        toolchain={},
        files=sealed_files(folder, ("model.onnx", "tokenizer.json")),
    ).sealed()
    (folder / MANIFEST).write_text(manifest.to_json(), "utf-8")
    return folder


def artefact(folder: Path, arpa: Path) -> Path:
    model = read(arpa)
    onnx.save(ngram_graph(model), folder / "model.onnx")
    tokenizer_of(model.words).save(str(folder / "tokenizer.json"))
    return seal(folder)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("little")
    return Engine.load(artefact(folder, little(folder / "little.arpa")))


def test_a_text_is_scored_as_a_person_would(engine: Engine) -> None:
    (output,) = predict(engine, "the train late")
    total = (-0.5 - 0.2 - 0.25 - 0.8 - 0.1) * LN10
    assert output == {
        "log_probability": pytest.approx(total, abs=1e-5),
        "perplexity": pytest.approx(math.exp(-total / 4), abs=1e-4),
        "tokens": 4,
        "truncated": False,
    }
    assert engine.providers == ("CPUExecutionProvider",)


def test_each_token_is_reported_with_its_place_in_the_text(engine: Engine) -> None:
    text = "  the  münster late"
    (output,) = predict(engine, text, per_token=True)
    entries = output["per_token"]
    assert [(t["token"], t["start"], t["end"]) for t in entries] == [
        ("the", 2, 5),
        ("<unk>", 7, 14),
        ("late", 15, 19),
        ("</s>", 19, 19),
    ]
    assert text[7:14] == "münster"
    scores = [t["log_probability"] for t in entries]
    wanted = [-0.5, -0.15 - 0.20 - 2.0, -1.5, -0.6]
    assert scores == pytest.approx([score * LN10 for score in wanted], abs=1e-5)
    assert math.fsum(scores) == output["log_probability"]


def test_an_answer_does_not_depend_on_its_neighbours(engine: Engine) -> None:
    texts = ["late", "the train", "late late late late"]
    assert predict(engine, *texts) == tuple(predict(engine, text)[0] for text in texts)


def test_a_text_longer_than_the_context_is_scored_completely(tmp_path: Path) -> None:
    """Score in windows, with the result of one pass: an n-gram looks no farther back than a window's beginning."""
    names = random_model(tmp_path / "random.arpa", 3, 9, 0.4)
    engine = Engine.load(artefact(tmp_path, tmp_path / "random.arpa"))
    known = by_hand(tmp_path / "random.arpa")
    for count in (1, MOST - 3, MOST - 2, MOST - 1, MOST, 3 * MOST, 101):
        words = [names[i * i % len(names)] for i in range(count)]
        (output,) = predict(engine, " ".join(words))
        seen = ["<s>", *words, "</s>"]
        grams = [tuple(seen[max(0, i - 2) : i + 1]) for i in range(1, len(seen))]
        total = math.fsum(log10(known, gram) for gram in grams) * LN10
        assert (output["tokens"], output["truncated"]) == (count + 1, False)
        assert output["log_probability"] == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize("max_tokens", [2, 3, 7, 16])
def test_parts_cover_every_token_once_after_half_a_part_of_others(max_tokens: int) -> None:
    for tokens in range(60):
        scored: list[int] = []
        for start, end in windows(tokens, max_tokens):
            assert end - start <= max_tokens
            new = range(max(len(scored) + 1, start + 1), end)
            assert start == 0 or new[0] - start >= max_tokens // 2
            scored += new
        assert scored == list(range(1, tokens))


def test_a_text_with_nothing_to_score_has_no_perplexity(engine: Engine) -> None:
    """Score one word without marks around it: the first token has no score."""
    model = engine.model
    assert isinstance(model, Scorer)
    bare = type(model.tokenizer).from_str(model.tokenizer.to_str())
    bare.post_processor = type(model.tokenizer.post_processor)(single="$A", special_tokens=[])
    alone = replace(engine, model=replace(model, tokenizer=bare))
    nothing = {"log_probability": 0.0, "perplexity": None, "tokens": 0, "truncated": False}
    assert predict(alone, "train") == (nothing,)
    assert predict(alone, "train", per_token=True) == ({**nothing, "per_token": []},)
    assert predict(alone, "train late")[0]["tokens"] == 1
    assert perplexity(-1e9, 1) == math.exp(700)


def test_every_invalid_parameter_is_named(engine: Engine) -> None:
    for parameters, problem in (
        ({"per_token": 1}, ("/parameters/per_token", "true or false")),
        ({"top_k": 5}, ("/parameters/top_k", "unknown", "per_token")),
    ):
        with pytest.raises(InvalidInput) as caught:
            predict(engine, "the train", **parameters)
        assert_request_problems(caught.value.problems, problem)
    with raises("invalid_input", "/inputs/0: "):
        engine.predict(PredictRequest(inputs=({"text": "the train"},)))


@pytest.mark.slow
def test_an_answer_too_large_is_refused_and_not_cut(engine: Engine) -> None:
    wide = replace(engine, max_inputs=10**6)
    assert engine.model.max_outputs({}) == 39315
    with raises("too_large", "39316 outputs", " 39315 inputs"):
        predict(wide, *["late"] * 39316)
    with raises("too_large", "6 MB"):
        predict(wide, "late " * 100_000, per_token=True)


def _graph(folder: Path, nodes: list[Any], shape: list[str], names: tuple[str, ...]) -> Path:
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, ["b", "t"]) for n in names]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "other", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    tokenizer_of(("<unk>", "<s>", "</s>")).save(str(folder / "tokenizer.json"))
    return seal(folder)


def test_a_graph_is_fed_all_that_it_asks_for(tmp_path: Path) -> None:
    names = ("input_ids", "attention_mask", "position_ids", "token_type_ids")
    nodes = [helper.make_node("Sum", [f"{name}_f" for name in names], ["y"])]
    casts = [helper.make_node("Cast", [n], [f"{n}_f"], to=TensorProto.FLOAT) for n in names]
    engine = Engine.load(_graph(tmp_path, [*casts, *nodes], ["b", "t"], names))
    model = engine.model
    assert isinstance(model, Scorer)
    assert model.scores([5, 6, 7]) == [5 + 1 + 0, 6 + 1 + 1, 7 + 1 + 2]


def test_numbers_that_are_not_finite_are_no_answer(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Neg", ["x"], ["n"]),
        helper.make_node("Sqrt", ["n"], ["y"]),
    ]
    engine = Engine.load(_graph(tmp_path, nodes, ["b", "t"], ("input_ids",)))
    with raises("model_failed", "not finite"):
        predict(engine, "anything")


@pytest.mark.parametrize(
    ("shape", "names"),
    [(["b", "t", "v"], ("input_ids",)), (["b", "t"], ("tokens",))],
    ids=["logits", "other inputs"],
)
def test_a_graph_that_does_not_score_is_not_opened(
    tmp_path: Path, shape: list[str], names: tuple[str, ...]
) -> None:
    cast = helper.make_node("Cast", [names[0]], ["c"], to=TensorProto.FLOAT)
    last = helper.make_node("Identity", ["c"], ["y"])
    if len(shape) == 3:
        last = helper.make_node("Expand", ["c", "s"], ["y"])
        cast = helper.make_node("Cast", [names[0]], ["c"], to=TensorProto.FLOAT)
        shape_of = helper.make_node("Constant", [], ["s"], value_ints=[1, 1, 1])
        nodes = [shape_of, cast, last]
    else:
        nodes = [cast, last]
    folder = _graph(tmp_path, nodes, shape, names)
    with raises("artefact_broken", "model.onnx", ", ".join(names), "log-probabilities"):
        Engine.load(folder)
