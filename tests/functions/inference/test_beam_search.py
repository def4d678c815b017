"""A search with several beams finds what transformers finds, whatever its settings, with and without an encoder."""

import json
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from build.sources.huggingface.folder_files import read_folder_files
from build.sources.huggingface.generation_config import details
from build.sources.source import Unusable
from contracts.prediction import PredictRequest
from functions.inference.decoder import Cache
from tests.fixtures.models.encoder_decoders.bart import bart
from tests.fixtures.models.tiny_decoders import (
    CONTEXT,
    ENCODER_DECODERS,
    PROMPTS,
    Recorder,
    built,
    generate,
    llama,
    opened,
)

pytestmark = pytest.mark.build

# Texts end often, or the penalty of their length would count for nothing.
ENDS = {"eos_token_id": [1, *range(5, 100)]}
SETTINGS: tuple[dict[str, Any], ...] = (
    {"num_beams": 4},
    {"num_beams": 2, "early_stopping": True, **ENDS},
    {"num_beams": 4, "early_stopping": "never", **ENDS},
    {"num_beams": 3, "length_penalty": 2.0, "eos_token_id": [1, *range(5, 320, 7)]},
    {"num_beams": 5, "length_penalty": -1.0, "early_stopping": "never", **ENDS},
    {"num_beams": 3, "length_penalty": 0.0, "early_stopping": True, **ENDS},
    {"num_beams": 4, "no_repeat_ngram_size": 2, "min_length": 8, "forced_eos_token_id": 1, **ENDS},
    {"num_beams": 4, "bad_words_ids": [[t] for t in range(2, 320, 2)], "renormalize_logits": True},
    {"num_beams": 3, "forced_bos_token_id": 40, "repetition_penalty": 1.5, **ENDS},
    {"num_beams": 4, "exponential_decay_length_penalty": [2, 1.3], "suppress_tokens": [40, 41]},
)
TOKENS = 12


@pytest.fixture(scope="module", params=["llama", "bart"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Return a model's folder, and an artefact whose decoder writes in place (Llama), or copies its cache (BART)."""
    make = {"llama": llama, "bart": bart}[request.param]
    source = make(tmp_path_factory.mktemp("source") / request.param)
    return source, built(source, tmp_path_factory.mktemp("built") / "cpu", beams=True)


def with_settings(source: Path, place: Path, settings: dict[str, Any]) -> Path:
    folder = shutil.copytree(source, place / source.name)
    path = folder / "generation_config.json"
    document = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**document, **settings}), "utf-8")
    return folder


def by_transformers(folder: Path, text: str) -> tuple[list[int], float, int]:
    """Return the tokens that transformers finds up to the end, their score, and the steps that it took."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    encoded = folder.name in ENCODER_DECODERS
    kind = AutoModelForSeq2SeqLM if encoded else AutoModelForCausalLM
    model = kind.from_pretrained(folder).eval()
    feed = AutoTokenizer.from_pretrained(folder)(
        text, return_tensors="pt", return_token_type_ids=False
    )
    asked = {"do_sample": False, "return_dict_in_generate": True, "output_scores": True}
    with torch.no_grad():
        found = model.generate(**feed, **asked, max_new_tokens=TOKENS)
    tokens = found.sequences[0, 1 if encoded else feed["input_ids"].shape[1] :].tolist()
    return tokens, float(found.sequences_scores[0]), len(found.scores)


@pytest.mark.exhaustive(keep=4)
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda each: "-".join(each))
def test_the_best_text_is_that_of_transformers(
    made: tuple[Path, Path], tmp_path: Path, settings: dict[str, Any]
) -> None:
    source, artefact = made
    folder = with_settings(source, tmp_path, settings)
    model = opened(folder, artefact)
    greedy = opened(source, artefact)
    for prompt in PROMPTS[:3]:
        tokens, score, steps = by_transformers(folder, prompt)
        rounds = list(model.rounds(prompt, TOKENS))
        assert list(rounds[-1].best.tokens) == tokens
        assert rounds[-1].best.score == pytest.approx(score, rel=1e-4)
        assert len(rounds) == steps
        output = generate(model, prompt, max_new_tokens=TOKENS).output
        ended = tokens[-1] in model.config.ends
        assert output["generated_tokens"] == len(tokens)
        length = len(tokens) ** settings.get("length_penalty", 1.0)
        mean = min(0.0, score * length / len(tokens))
        assert output["confidence"] == pytest.approx(math.exp(mean), abs=1e-5)
        assert output["finish_reason"] == ("eos_token" if ended else "length")
        # The end is no text, even where it is a token as others are.
        text = model.tokenizer.decode(tokens[:-1] if ended else tokens)
        assert output["generated_text"].rstrip("\ufffd") == text.rstrip("\ufffd")
    texts = [
        [generate(each, p, max_new_tokens=TOKENS).output["generated_text"] for p in PROMPTS[:3]]
        for each in (model, greedy)
    ]
    assert texts[0] != texts[1]


def test_all_beams_are_one_run_of_the_decoder(made: tuple[Path, Path], tmp_path: Path) -> None:
    source, artefact = made
    model = opened(with_settings(source, tmp_path, {"num_beams": 4}), artefact)
    generated = generate(model, "The train", max_new_tokens=5)
    first, *others = [(len(tokens), past) for tokens, past in generated.reads]
    assert first[1] == 0
    assert others == [(4, first[0] + i) for i in range(4)]


def test_a_request_that_samples_has_one_beam(made: tuple[Path, Path], tmp_path: Path) -> None:
    source, artefact = made
    model = opened(with_settings(source, tmp_path, {"num_beams": 4, **ENDS}), artefact)
    plain = opened(with_settings(source, tmp_path / "plain", ENDS), artefact)
    for asked in ({"temperature": 0.7, "seed": 3}, {"do_sample": True, "top_k": 5, "seed": 4}):
        one, other = (generate(m, "The train", max_new_tokens=9, **asked) for m in (model, plain))
        assert one.output == other.output


def test_a_text_ends_before_its_stop_string(made: tuple[Path, Path], tmp_path: Path) -> None:
    source, artefact = made
    model = opened(with_settings(source, tmp_path, {"num_beams": 3}), artefact)
    full = generate(model, "The train", max_new_tokens=TOKENS).output["generated_text"]
    output = generate(model, "The train", max_new_tokens=TOKENS, stop=[full[3:6]]).output
    assert output["generated_text"] == full[: full.index(full[3:6])]
    assert output["finish_reason"] == "stop_sequence"


def test_a_search_that_runs_out_of_time_returns_the_best_text_by_then(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    source, artefact = made
    model = opened(with_settings(source, tmp_path, {"num_beams": 3}), artefact)

    class Slow(Recorder):
        def run_rows(self, tokens: Sequence[int], cache: Cache) -> Any:
            if len(self.reads) == 3:
                time.sleep(max(deadline - time.monotonic(), 0))
            return super().run_rows(tokens, cache)

    slow = replace(model, decoder=Slow(model.decoder))
    # The first steps take milliseconds, or more on a busy machine.
    deadline = time.monotonic() + 1.5
    request = PredictRequest(
        inputs=("The train", "and"), parameters={"max_new_tokens": 20}, deadline=deadline
    )
    first, second = slow.outputs(request)
    assert 0 < first["generated_tokens"] < 20
    assert first["finish_reason"] == "time"
    assert (second["generated_text"], second["finish_reason"]) == ("", "time")


def test_a_model_that_samples_beams_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    source, _ = made
    folder = with_settings(source, tmp_path, {"num_beams": 3, "do_sample": True})
    with pytest.raises(Unusable, match="both `do_sample` and `num_beams`"):
        details(read_folder_files(folder), CONTEXT)


def test_settings_of_a_search_are_not_kept_for_one_beam(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    source, _ = made
    alone = {"num_beams": 1, "length_penalty": 2.0, "early_stopping": True}
    folder = with_settings(source, tmp_path, alone)
    plain = details(read_folder_files(source), CONTEXT)
    assert details(read_folder_files(folder), CONTEXT) == plain
