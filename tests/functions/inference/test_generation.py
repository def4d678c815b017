"""A causal model generates what transformers generates, one token at a time, and obeys its stop criteria."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build.recipes.recipe import WeightFormat
from build.recipes.weight_only import weight_only
from contracts.prediction import PredictRequest
from functions.inference.decoder import Cache, Decoder
from functions.inference.generation import Generator
from tests.fixtures.models.tiny_decoders import (
    CAUSAL,
    CONTEXT,
    PROMPTS,
    Recorder,
    built,
    generate,
    opened,
    reference_tokens,
)
from tests.fixtures.problems import assert_request_problems, raises

pytestmark = pytest.mark.build

LONG = "The night train is late again. " * 20
SAMPLED = {"do_sample": True, "temperature": 1.5, "top_k": 50, "top_p": 0.95}


@pytest.fixture(scope="module", params=sorted(CAUSAL))
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return CAUSAL[request.param](tmp_path_factory.mktemp("source") / request.param)


@pytest.fixture(scope="module")
def folder(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(source, tmp_path_factory.mktemp("built") / "cpu")


@pytest.fixture(scope="module")
def generator(source: Path, folder: Path) -> Generator:
    model: Generator = opened(source, folder)
    return model


@pytest.mark.parametrize("prompt", PROMPTS)
def test_it_generates_what_transformers_generates(
    generator: Generator, source: Path, prompt: str
) -> None:
    ids = reference_tokens(source, prompt, 20)
    generated = generate(generator, prompt, max_new_tokens=20)
    text = generator.tokenizer.decode(ids)
    assert generated.ids == ids[:-1]
    assert generated.output["generated_text"].rstrip("\ufffd") == text.rstrip("\ufffd")
    assert generated.output["generated_tokens"] == len(ids)


def test_after_the_prompt_each_run_takes_one_token(generator: Generator) -> None:
    generated = generate(generator, PROMPTS[-1], max_new_tokens=20)
    tokens = generated.output["tokens"]
    assert [(len(read), past) for read, past in generated.reads] == [
        (tokens, 0),
        *((1, tokens + i) for i in range(19)),
    ]


def test_the_cache_changes_no_logits(generator: Generator) -> None:
    ids = generator.tokenizer.encode(PROMPTS[-1]).ids
    cache = generator.decoder.empty_cache({})
    for end in range(1, len(ids) + 1):
        stepped, cache = generator.decoder.run(ids[end - 1 : end], cache)
        at_once, _ = generator.decoder.run(ids[:end], generator.decoder.empty_cache({}))
        np.testing.assert_allclose(stepped, at_once, atol=1e-4)


def test_what_was_read_is_neither_copied_nor_moved(generator: Generator) -> None:
    assert isinstance(generator.decoder, Decoder)
    assert generator.decoder.in_place
    cache = generator.decoder.empty_cache({})
    _, first = generator.decoder.run([3, 4, 5], cache)
    before = {name: value.data_ptr() for name, value in first.values.items()}
    held = {name: value.numpy()[:, :, :3].copy() for name, value in first.values.items()}
    _, second = generator.decoder.run([6], first)
    assert {name: value.data_ptr() for name, value in second.values.items()} == before
    for name, value in second.values.items():
        np.testing.assert_array_equal(value.numpy()[:, :, :3], held[name])
        assert value.numpy()[:, :, 3].any()
        assert not value.numpy()[:, :, 4:].any()


def test_a_cache_that_is_full_grows_with_what_is_in_it(generator: Generator) -> None:
    assert isinstance(generator.decoder, Decoder)
    narrow = replace(generator.decoder, block=4)
    ids = generator.tokenizer.encode(PROMPTS[-1]).ids
    wide, tight = generator.decoder.empty_cache({}), narrow.empty_cache({})
    rooms = []
    for token in ids:
        wanted, wide = generator.decoder.run([token], wide)
        found, tight = narrow.run([token], tight)
        np.testing.assert_array_equal(found, wanted)
        rooms.append(next(iter(tight.values.values())).shape()[2])
    assert rooms[:9] == [4, 4, 4, 4, 8, 8, 8, 8, 16]


def test_a_graph_as_it_was_exported_generates_the_same(
    generator: Generator, source: Path, tmp_path: Path
) -> None:
    plain = opened(source, built(source, tmp_path / "gpu", fused=False))
    assert not plain.decoder.in_place
    for prompt in PROMPTS[:3]:
        one, other = generate(plain, prompt), generate(generator, prompt)
        assert one.written == other.written
        assert one.output["confidence"] == pytest.approx(other.output["confidence"], abs=1e-4)


def test_a_seed_gives_the_same_text_again_and_another_one_another(generator: Generator) -> None:
    texts = [
        generate(generator, "The train", seed=seed, **SAMPLED).output["generated_text"]
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_without_a_seed_every_text_is_drawn_anew(generator: Generator) -> None:
    texts = {generate(generator, "x", **SAMPLED).output["generated_text"] for _ in range(3)}
    assert len(texts) > 1


def test_a_seeded_text_does_not_depend_on_its_neighbours(generator: Generator) -> None:
    alone = generate(generator, "and", seed=4, **SAMPLED).output
    request = PredictRequest(inputs=("The train", "and", "and"), parameters={"seed": 4, **SAMPLED})
    assert generator.outputs(request)[1:] == [alone, alone]


def test_the_likeliest_of_one_is_the_likeliest(generator: Generator) -> None:
    for prompt in PROMPTS:
        assert generate(generator, prompt, top_k=1).written == generate(generator, prompt).written


def test_a_text_ends_before_its_stop_string_wherever_the_tokens_meet(generator: Generator) -> None:
    full = generate(generator, "The train", max_new_tokens=20).output["generated_text"]
    for start in range(len(full) - 2):
        stop = full[start : start + 3]
        output = generate(generator, "The train", max_new_tokens=20, stop=["never", stop]).output
        assert output["generated_text"] == full[: full.index(stop)]
        assert output["finish_reason"] == "stop_sequence"


def test_a_text_ends_where_the_model_ends_it(source: Path, folder: Path) -> None:
    ids = reference_tokens(source, "The train", 12)
    end = ids[7]
    generator = opened(source, folder, eos_token_ids=[end, 1])
    output = generate(generator, "The train", max_new_tokens=12).output
    count = ids.index(end)
    assert output["finish_reason"] == "eos_token"
    assert output["generated_tokens"] == count + 1
    text = generator.tokenizer.decode(ids[:count])
    assert output["generated_text"].rstrip("\ufffd") == text.rstrip("\ufffd")


def test_a_long_prompt_is_truncated_at_its_beginning_and_marked(generator: Generator) -> None:
    encoded = generator.tokenizer.encode(LONG).ids
    generated = generate(generator, LONG, max_new_tokens=8)
    (prompt, _), *_ = generated.reads
    assert len(prompt) == CONTEXT - 8 == generated.output["tokens"]
    assert prompt[1:] == encoded[-(CONTEXT - 9) :]
    if encoded[0] == 1:  # what the tokenizer puts in front stays in front
        assert prompt[0] == 1
    assert (generated.output["truncated"], generated.output["generated_tokens"]) == (True, 8)
    assert not generate(generator, "The train").output["truncated"]


def test_the_whole_context_can_be_used(generator: Generator) -> None:
    output = generate(generator, LONG, max_new_tokens=CONTEXT // 2).output
    assert output["tokens"] + output["generated_tokens"] == CONTEXT


def test_a_text_that_runs_out_of_time_is_what_there_is_of_it(generator: Generator) -> None:
    full = generate(generator, "The train", max_new_tokens=20).output["generated_text"]

    class Slow(Recorder):
        def run(self, tokens: Sequence[int], cache: Cache) -> Any:
            if len(self.reads) == 3:
                time.sleep(max(deadline - time.monotonic(), 0))
            return super().run(tokens, cache)

    slow = replace(generator, decoder=Slow(generator.decoder))
    # The first steps take milliseconds, or more on a busy machine.
    deadline = time.monotonic() + 1.5
    request = PredictRequest(
        inputs=("The train", "and"), parameters={"max_new_tokens": 20}, deadline=deadline
    )
    first, second = slow.outputs(request)
    assert 0 < first["generated_tokens"] < 20
    assert first["finish_reason"] == "time"
    assert full.startswith(first["generated_text"])
    assert (second["generated_text"], second["generated_tokens"]) == ("", 0)
    assert second["finish_reason"] == "time"


def test_the_full_text_is_the_input_and_what_follows(generator: Generator) -> None:
    alone = generate(generator, "The train", max_new_tokens=5).output["generated_text"]
    full = generate(generator, "The train", max_new_tokens=5, return_full_text=True).output
    assert full["generated_text"] == "The train" + alone


def test_a_penalty_keeps_words_from_coming_back(generator: Generator) -> None:
    plain = generate(generator, "and", max_new_tokens=20).ids
    varied = generate(generator, "and", max_new_tokens=20, repetition_penalty=1e6).ids
    assert len(set(varied)) == len(varied)
    assert len(set(plain)) < len(plain)


@pytest.mark.parametrize(
    ("parameters", "limits"),
    [
        ({"max_new_tokens": 25}, ("from 1 to 24",)),
        ({"max_new_tokens": True}, ("from 1 to 24",)),
        ({"temperature": 0}, ("above 0",)),
        ({"temperature": "1"}, ("above 0",)),
        ({"top_k": 0}, ("from 1 up",)),
        ({"top_p": 1.01}, ("above 0", "at most 1")),
        ({"seed": -1}, ("from 0 to 18446744073709551615",)),
        ({"stop": "."}, ("list", "16 texts")),
        ({"stop": [""]}, ("16 texts", "empty")),
        ({"do_sample": 1}, ("true or false",)),
        ({"top_p": 0.5, "do_sample": False}, ("do_sample is false",)),
        ({"best_of": 2}, ("unknown", "max_new_tokens, do_sample, ")),
    ],
    ids=str,
)
def test_an_invalid_parameter_is_named(
    generator: Generator, parameters: dict[str, Any], limits: tuple[str, ...]
) -> None:
    request = PredictRequest(inputs=("x",), parameters=parameters)
    pointer = f"/parameters/{next(iter(parameters))}"
    assert_request_problems(generator.problems(request), (pointer, *limits))


def test_an_input_that_is_no_text_is_named(generator: Generator) -> None:
    problems = generator.problems(PredictRequest(inputs=("x", {"question": "y"})))
    assert_request_problems(problems, ("/inputs/1", "text"))


def test_logits_that_are_no_numbers_are_a_failure(generator: Generator) -> None:
    class Broken(Recorder):
        def run(self, tokens: Sequence[int], cache: Cache) -> Any:
            return np.full(300, np.nan, np.float32), cache

    failing = replace(generator, decoder=Broken(generator.decoder))
    with raises("model_failed", "not finite"):
        failing.outputs(PredictRequest(inputs=("x",)))


@pytest.mark.exhaustive(keep=2)
@pytest.mark.parametrize(
    ("change", "min_correlation"),
    # Random weights make much of little: what is unpacked wrongly has nothing in common with what was packed.
    [
        (weight_only(WeightFormat.INT8), 0.99),
        (weight_only(WeightFormat.INT4), 0.8),
        (weight_only(WeightFormat.INT4_OFFSETS), 0.8),
        (weight_only(WeightFormat.INT4_OFFSETS, sensitive_weights=WeightFormat.INT8), 0.8),
    ],
    ids=["8", "4", "4 with offsets", "4 and 8"],
)
def test_few_bits_generate_nearly_the_same(
    generator: Generator,
    source: Path,
    folder: Path,
    tmp_path: Path,
    change: Any,
    min_correlation: float,
) -> None:
    small = opened(source, built(source, tmp_path / "cpu", change))
    near = []
    for prompt in PROMPTS:
        ids = generator.tokenizer.encode(prompt).ids
        wanted, _ = generator.decoder.run(ids, generator.decoder.empty_cache({}))
        found, _ = small.decoder.run(ids, small.decoder.empty_cache({}))
        near.append(np.corrcoef(wanted, found)[0, 1])
    assert np.mean(near) > min_correlation
    size = (tmp_path / "cpu/model.onnx").stat().st_size
    assert size < (folder / "model.onnx").stat().st_size


def test_a_manifest_without_the_facts_is_refused(source: Path, folder: Path) -> None:
    with raises("artefact_broken", "manifest", "None"):
        opened(source, folder, eos_token_ids=None)
    with raises("artefact_broken", "48 new tokens", "context of 48"):
        opened(source, folder, max_new_tokens=48)
