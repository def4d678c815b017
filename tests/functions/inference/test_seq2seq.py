"""A model with an encoder encodes a text once, and generates what transformers generates."""

from pathlib import Path

import numpy as np
import pytest

from build.recipes.recipe import WeightFormat
from build.recipes.weight_only import weight_only
from contracts.prediction import PredictRequest
from functions.inference.seq2seq import Seq2Seq
from tests.fixtures.models.tiny_decoders import (
    CONTEXT,
    PROMPTS,
    built,
    generate,
    gpt2,
    opened,
    reference_tokens,
    t5,
)
from tests.fixtures.problems import assert_request_problems, raises

pytestmark = pytest.mark.build

LONG = "The night train is late again. " * 20


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return t5(tmp_path_factory.mktemp("source") / "t5")


@pytest.fixture(scope="module")
def folder(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(source, tmp_path_factory.mktemp("built") / "cpu")


@pytest.fixture(scope="module")
def model(source: Path, folder: Path) -> Seq2Seq:
    found: Seq2Seq = opened(source, folder)
    return found


@pytest.mark.parametrize("prompt", PROMPTS)
def test_it_generates_what_transformers_generates(
    model: Seq2Seq, source: Path, prompt: str
) -> None:
    ids = reference_tokens(source, prompt, 20)
    generated = generate(model, prompt, max_new_tokens=20)
    text = model.tokenizer.decode(ids)
    assert generated.output["generated_tokens"] == len(ids)
    assert generated.ids == ids[:-1]
    assert generated.output["generated_text"].rstrip("\ufffd") == text.rstrip("\ufffd")


def test_each_run_of_the_decoder_takes_one_token(model: Seq2Seq) -> None:
    generated = generate(model, "The train", max_new_tokens=10)
    reads = [(len(tokens), past) for tokens, past in generated.reads]
    assert reads == [(1, i) for i in range(generated.output["generated_tokens"])]


def test_the_keys_of_cross_attention_are_computed_once(model: Seq2Seq) -> None:
    encoding = model.tokenizer.encode("The train")
    cache = model.decoder.empty_cache(model.encode(encoding.ids))
    _, after = model.decoder.run([1], cache)
    assert after.fixed is cache.fixed
    assert not set(after.values) & set(after.fixed)
    shape = after.fixed["past_key_values.1.encoder.key"].shape()
    assert shape == [1, 4, len(encoding.ids), 8]


def test_the_cache_changes_no_logits(model: Seq2Seq) -> None:
    fixed = model.encode(model.tokenizer.encode("The train").ids)
    ids = [1, *model.tokenizer.encode("A station, a switch, a signal: late").ids]
    cache = model.decoder.empty_cache(fixed)
    for end in range(1, len(ids) + 1):
        stepped, cache = model.decoder.run(ids[end - 1 : end], cache)
        at_once, _ = model.decoder.run(ids[:end], model.decoder.empty_cache(fixed))
        np.testing.assert_allclose(stepped, at_once, atol=1e-4)


def test_a_seed_gives_the_same_text_again_and_another_one_another(model: Seq2Seq) -> None:
    texts = [
        generate(model, "The train", seed=seed, temperature=2.0).output["generated_text"]
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_the_likeliest_of_one_is_the_likeliest(model: Seq2Seq) -> None:
    for prompt in PROMPTS:
        assert generate(model, prompt, top_k=1).written == generate(model, prompt).written


def test_a_text_ends_before_its_stop_string(model: Seq2Seq) -> None:
    full = generate(model, "The train", max_new_tokens=20).output["generated_text"]
    stop = full[3:6]
    output = generate(model, "The train", max_new_tokens=20, stop=[stop]).output
    assert output["generated_text"] == full[: full.index(stop)]
    assert output["finish_reason"] == "stop_sequence"


def test_a_text_ends_where_the_model_ends_it(source: Path, folder: Path) -> None:
    ids = reference_tokens(source, "The train", 12)
    model = opened(source, folder, eos_token_ids=[ids[5]])
    output = generate(model, "The train", max_new_tokens=12).output
    assert output["finish_reason"] == "eos_token"
    assert output["generated_tokens"] == ids.index(ids[5]) + 1


def test_a_long_text_is_truncated_at_its_end_and_marked(model: Seq2Seq) -> None:
    output = generate(model, LONG, max_new_tokens=4).output
    assert (output["tokens"], output["truncated"]) == (CONTEXT, True)
    assert not generate(model, "The train").output["truncated"]


def test_there_is_no_full_text_to_return(model: Seq2Seq) -> None:
    request = PredictRequest(inputs=("x",), parameters={"return_full_text": True})
    unknown = ("/parameters/return_full_text", "unknown", "max_new_tokens, ")
    assert_request_problems(model.problems(request), unknown)


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("bits", [8, 4])
def test_few_bits_generate_nearly_the_same(
    model: Seq2Seq, source: Path, tmp_path: Path, bits: int
) -> None:
    small = opened(source, built(source, tmp_path / "cpu", weight_only(WeightFormat(f"int{bits}"))))
    ids = model.tokenizer.encode("The train").ids
    wanted, _ = model.decoder.run([1], model.decoder.empty_cache(model.encode(ids)))
    found, _ = small.decoder.run([1], small.decoder.empty_cache(small.encode(ids)))
    assert np.corrcoef(wanted, found)[0, 1] > {8: 0.995, 4: 0.9}[bits]


def test_a_decoder_without_a_cache_is_refused(source: Path, folder: Path, tmp_path: Path) -> None:
    other = built(gpt2(tmp_path / "gpt2"), tmp_path / "cpu")
    (other / "encoder.onnx").write_bytes((folder / "encoder.onnx").read_bytes())
    (other / "decoder.onnx").write_bytes((folder / "encoder.onnx").read_bytes())
    with raises("artefact_broken", "decoder.onnx", "cache"):
        opened(source, other)
    (other / "decoder.onnx").write_bytes((other / "model.onnx").read_bytes())
    with raises("artefact_broken", "encoder.onnx", "decoder.onnx does not take"):
        opened(source, other)
