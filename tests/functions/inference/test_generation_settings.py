"""A request without parameters is answered as the model's own generation_config.json has transformers answer it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from build.sources.huggingface.folder_files import read_folder_files
from build.sources.huggingface.generation_config import (
    DEFAULTS,
    OF_ENCODER,
    TOKENS,
    WISHES,
    details,
)
from build.sources.source import Unusable
from functions.inference.beam_search import KEYS as SEARCHED  # tried in test_beam_search.py
from functions.inference.detokenizer import clean_up as clean_up_text
from tests.fixtures.models.tiny_decoders import (
    CONTEXT,
    PROMPTS,
    built,
    generate,
    llama,
    opened,
    reference_of,
    t5,
)

pytestmark = pytest.mark.build

# Values of each key that changes greedy output, one or more of them for texts of 12 new tokens.
GREEDY: dict[str, Any] = {
    "sequence_bias": [[[40], 6.0], [[40, 41], -8.0]],
    "encoder_repetition_penalty": 3.0,
    "repetition_penalty": 1.8,
    "no_repeat_ngram_size": 1,
    "encoder_no_repeat_ngram_size": 1,
    "bad_words_ids": [[30], [40, 41], [1], *([token] for token in range(60, 300, 3))],
    "min_length": 12,
    "min_new_tokens": 6,
    "forced_bos_token_id": 35,
    "forced_eos_token_id": 1,
    "exponential_decay_length_penalty": [2, 4.0],
    "suppress_tokens": list(range(60, 300, 3)),
    "begin_suppress_tokens": list(range(4, 300)),
    "max_new_tokens": 5,
    "max_length": 14,
}
# Keys that are looked at only where a text is sampled: compared number by number in test_sampling.py.
SAMPLED = {
    "do_sample", "temperature", "top_k", "top_p", "top_h", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff",
}  # fmt: skip
LENGTHS = {"max_new_tokens", "max_length"}


@pytest.fixture(scope="module", params=["llama", "t5"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Return a model's folder, and the artefact made of it."""
    make = {"llama": llama, "t5": t5}[request.param]
    source = make(tmp_path_factory.mktemp("source") / request.param)
    return source, built(source, tmp_path_factory.mktemp("built") / "cpu")


def with_settings(source: Path, place: Path, **settings: Any) -> Path:
    """Return a copy of a model's folder with those keys in its generation_config.json."""
    folder = shutil.copytree(source, place / source.name)
    path = folder / "generation_config.json"
    document = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**document, **settings}), "utf-8")
    return folder


def settings_of(folder: Path) -> Any:
    return details(read_folder_files(folder), CONTEXT).get("generation_config", {})


def beside_of(key: str, source: Path) -> dict[str, Any]:
    """Return what a key is tried beside, where it would change nothing alone."""
    if key in ("min_length", "min_new_tokens"):
        return {"eos_token_id": [token for token in range(1, 320) if token % 3]}  # most end a text
    if key == "encoder_no_repeat_ngram_size":
        tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
        read = {token for prompt in PROMPTS for token in tokenizer.encode(prompt).ids}
        return {"sequence_bias": [[[token], 90.0] for token in sorted(read)]}
    return {}


def test_every_key_has_a_value_that_it_is_tried_with() -> None:
    assert GREEDY.keys() | SAMPLED | set(SEARCHED) == WISHES.keys()


@pytest.mark.exhaustive(keep=5)
@pytest.mark.parametrize("key", GREEDY)
def test_a_request_without_parameters_follows_the_model_s_own_settings(
    made: tuple[Path, Path], tmp_path: Path, key: str
) -> None:
    source, artefact = made
    # These speak of an encoder, or of a decoder that begins with one token.
    if source.name != "t5" and (key == "forced_bos_token_id" or key in OF_ENCODER):
        assert key not in settings_of(with_settings(source, tmp_path, **{key: GREEDY[key]})) or (
            key == "forced_bos_token_id"
        )
        return
    beside = beside_of(key, source)
    folder = with_settings(source, tmp_path, **{key: GREEDY[key]}, **beside)
    model = opened(folder, artefact)
    plain = opened(with_settings(source, tmp_path / "plain", **beside), artefact)
    parameters = {} if key in LENGTHS else {"max_new_tokens": 12}
    theirs, same = reference_of(folder), 0
    prompts = [p for p in PROMPTS if len(model.tokenizer.encode(p).ids) < GREEDY["max_length"]]
    for prompt in prompts:
        ids = theirs(prompt, **parameters)
        generated = generate(model, prompt, **parameters)
        assert generated.ids == ids[:-1], prompt
        assert generated.output["generated_tokens"] == len(ids)
        same += generate(plain, prompt, **parameters).output == generated.output
    # A key that changes none of the texts would be compared with nothing.
    assert same < len(prompts)


def test_a_request_s_own_parameters_come_before_the_model_s(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    source, artefact = made
    wishes = {"repetition_penalty": 1.8, "max_new_tokens": 3, "do_sample": True, "top_k": 5}
    folder = with_settings(source, tmp_path, **wishes)
    model, plain = opened(folder, artefact), opened(source, artefact)
    for prompt in PROMPTS:
        wanted = generate(plain, prompt, max_new_tokens=9)
        asked = {"repetition_penalty": 1.0, "max_new_tokens": 9, "do_sample": False}
        assert generate(model, prompt, **asked).output == wanted.output


def test_a_model_that_samples_by_default_is_sampled_by_its_own_limits(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    source, artefact = made
    folder = with_settings(source, tmp_path, do_sample=True, temperature=3.0)
    model, plain = opened(folder, artefact), opened(source, artefact)
    assert model.config.defaults.values == {"do_sample": True, "temperature": 3.0, "top_k": 50}
    texts = {generate(model, PROMPTS[0], max_new_tokens=12).output["generated_text"] for _ in "abc"}
    assert len(texts) > 1
    seeded = {"seed": 4, "do_sample": True, "max_new_tokens": 12}
    same = generate(plain, PROMPTS[0], temperature=3.0, top_k=50, **seeded).output
    assert generate(model, PROMPTS[0], **seeded).output == same
    one = with_settings(source, tmp_path / "one", do_sample=True, min_p=1.0)
    likeliest = generate(plain, PROMPTS[0], max_new_tokens=12).written
    assert generate(opened(one, artefact), PROMPTS[0], max_new_tokens=12).written == likeliest


def test_values_that_change_nothing_leave_the_manifest_as_it_is(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    source, _ = made
    plain = details(read_folder_files(source), CONTEXT)
    neutral = {
        "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "min_length": 0, "do_sample": False, "top_p": 1.0,
        "temperature": 0.0, "bad_words_ids": None, "typical_p": 1.0, "eta_cutoff": 0.0,
    }  # fmt: skip
    folder = with_settings(source, tmp_path, **neutral)
    assert details(read_folder_files(folder), CONTEXT) == plain


@pytest.mark.parametrize("clean_up", [True, False])
def test_spaces_before_punctuation_are_taken_out_as_by_transformers(
    made: tuple[Path, Path], tmp_path: Path, clean_up: bool
) -> None:
    from transformers import AutoTokenizer

    source, artefact = made
    folder = shutil.copytree(source, tmp_path / source.name)
    # The ids of the model's own tokenizer, each a word: of words, unlike of byte pairs, texts have such spaces.
    signs = ["but", ".", "?", "!", ",", "'", "n't", "'m", "'s", "'ve", "'re"]
    vocabulary = {f"{signs[i % len(signs)]}{'' if i < len(signs) else i}": i for i in range(320)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="but"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.save(str(folder / "tokenizer.json"))
    path = folder / "tokenizer_config.json"
    settings = {"tokenizer_class": "TokenizersBackend", "clean_up_tokenization_spaces": clean_up}
    path.write_text(json.dumps({"model_max_length": CONTEXT, **settings}), "utf-8")
    theirs, cleaned = AutoTokenizer.from_pretrained(folder), 0
    text = " ".join(signs)
    ids = list(range(len(signs)))
    wanted = theirs.decode(ids)
    assert (wanted != text) is clean_up
    config = details(read_folder_files(folder), CONTEXT)
    assert config.get("clean_up", False) is clean_up
    assert (clean_up_text(text) if clean_up else text) == wanted
    model = replace(opened(folder, artefact), tokenizer=words)
    for prompt in ("but but", ". ?"):
        found = generate(model, prompt, max_new_tokens=12)
        plain = words.decode(found.ids)
        cleaned += found.output["generated_text"].startswith(
            clean_up_text(plain)
        ) and plain != clean_up_text(plain)
    assert (cleaned > 0) is clean_up


def test_every_value_of_another_kind_is_named_at_once(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    source, _ = made
    wrong = {
        "repetition_penalty": "1.2",
        "bad_words_ids": [[]],
        "min_length": -1,
        "eos_token_id": "</s>",
    }
    files = read_folder_files(with_settings(source, tmp_path, **wrong))
    with pytest.raises(Unusable) as caught:
        details(files, CONTEXT)
    named = [problem.message for problem in caught.value.problems]
    assert len(named) == len(wrong)
    for key in wrong:
        assert any(
            f"`{key}`" in message and "generation_config.json" in message for message in named
        )


@pytest.mark.parametrize("model_type", DEFAULTS)
def test_what_config_json_leaves_out_is_as_its_class_has_it(model_type: str) -> None:
    from transformers import CONFIG_MAPPING, GenerationConfig

    found = GenerationConfig.from_model_config(CONFIG_MAPPING[model_type]()).to_diff_dict()
    known = {key: value for key, value in found.items() if key in {**WISHES, **TOKENS}}
    assert known == DEFAULTS[model_type]


def test_without_that_file_the_settings_are_those_of_config_json(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    source, artefact = made
    folder = shutil.copytree(source, tmp_path / source.name)
    (folder / "generation_config.json").unlink()
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(
        json.dumps({**config, "repetition_penalty": 1.8, "max_new_tokens": 7}), "utf-8"
    )
    model, theirs = opened(folder, artefact), reference_of(folder)
    for prompt in PROMPTS:
        assert generate(model, prompt).ids == theirs(prompt)[:-1]
