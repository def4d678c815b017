"""A setting of config.json that decides what a model computes is in its graphs, exported and fused."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build.export.fusion import FUSED, PLAIN
from build.families.registry import family_of
from build.sources.huggingface.settings.setting import GRAPH
from build.sources.huggingface.settings.table import CONFIG, TABLE
from build.sources.source import TransformersSource
from functions.inference.session import open_session
from tests.build.export.graph_settings import CASES, MASKS, WRITING, Case, change, library_model
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_decoders import built, opened
from tests.fixtures.paths import ROOT

# What a decoder has written so far: its start and a few tokens.
WRITTEN = [1, 9, 40, 17, 9, 63, 25, 9]


def theirs(case: Case, folder: Path) -> list[Any] | None:
    """Return transformers' own logits of each text, alone; None where it cannot run the folder's model."""
    try:
        return _logits(case, folder)
    except (RuntimeError, ValueError, TypeError):  # weights of other sizes than config.json has
        return None


def _logits(case: Case, folder: Path) -> list[Any]:
    import torch
    from transformers import AutoTokenizer

    model, tokenizer = library_model(folder, case.task), AutoTokenizer.from_pretrained(folder)
    written = {"decoder_input_ids": torch.tensor([WRITTEN])} if case.task is WRITING else {}
    found = []
    for text in case.texts:
        encoded = tokenizer(text, return_tensors="pt")
        if written:
            encoded.pop("token_type_ids", None)
        with torch.inference_mode():
            logits = model(**encoded, **written).logits[0]
        masked = encoded["input_ids"][0] == tokenizer.mask_token_id
        found.append(
            (logits[-1] if written else logits[masked] if case.task is MASKS else logits).numpy()
        )
    return found


def differ(one: list[Any] | None, other: list[Any]) -> bool:
    """Return whether the answers differ, or there are none."""
    return one is None or any(
        a.shape != b.shape or np.abs(a - b).max() > 1e-3 for a, b in zip(one, other, strict=True)
    )


def assert_same_next_token(case: Case, folder: Path, place: Path, wanted: list[Any]) -> None:
    model = opened(folder, built(folder, place))
    for text, right in zip(case.texts, wanted, strict=True):
        prompt = model.prompt(text, len(WRITTEN))
        logits, _ = model.decoder.run(WRITTEN, model.decoder.empty_cache(prompt.fixed))
        assert_near(logits.reshape(right.shape), right)


def assert_near(found: Any, right: Any) -> None:
    np.testing.assert_allclose(found, right, atol=2e-4 * max(1, np.abs(right).max()))


def assert_same_logits(case: Case, folder: Path, place: Path, wanted: list[Any]) -> None:
    from transformers import AutoTokenizer

    source = read_as(TransformersSource, folder, case.task)
    place.mkdir()
    family_of(source).prepare(source, place, lambda text: None)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for graph in (PLAIN, FUSED):
        session = open_session(place / graph, threads=1, device="cpu")
        names = [node.name for node in session.get_inputs()]
        for text, right in zip(case.texts, wanted, strict=True):
            encoded = tokenizer(text, return_tensors="np", return_token_type_ids=True)
            feeds = {name: encoded[name].astype(np.int64) for name in names}
            assert_near(session.run(None, feeds)[0].reshape(right.shape), right)


# Saved with and without words of the decoder's own for test_marian.py.
MARIAN = "tests/fixtures/models/encoder_decoders/marian.py"
# Settings that show in generated texts and in vectors alone, by the tests that compare these with the library's.
COMPARED: Mapping[str, str] = {
    "final_logit_softcapping": "tests/build/reading/decoders/test_generation.py",
    "use_bidirectional_attention": "tests/build/reading/decoders/test_embedders.py",
    "is_causal": "tests/build/reading/decoders/test_embedders.py",
    "share_encoder_decoder_embeddings": MARIAN,
    "decoder_vocab_size": MARIAN,
}


def test_every_setting_of_a_graph_has_a_case() -> None:
    of_graph = {setting.key for setting in TABLE[CONFIG] if setting.read_by == GRAPH}
    assert of_graph == CASES.keys() | COMPARED.keys()
    for key, path in COMPARED.items():
        assert f"{key}=" in (ROOT / path).read_text("utf-8")


@pytest.mark.exhaustive(keep=2)
@pytest.mark.parametrize("key", CASES)
def test_a_graph_has_the_setting_as_transformers_has_it(tmp_path: Path, key: str) -> None:
    case = CASES[key]
    name = case.model.lower()
    folder = case.make(tmp_path / "made" / name)
    wanted = theirs(case, folder)
    assert wanted is not None
    # The setting counts: transformers itself answers otherwise, or not at all, without it.
    assert differ(theirs(case, case.without(folder, tmp_path / "plain" / name)), wanted)
    check = assert_same_next_token if case.task is WRITING else assert_same_logits
    check(case, folder, tmp_path / "prepared", wanted)


# Settings that change nothing, by the model that has them.
HARMLESS: Mapping[str, Mapping[str, Any]] = {
    "Flaubert": {
        "use_lang_emb": False,
        "n_langs": 3,
        "id2lang": {"0": "fr"},
        "lang2id": {"fr": 0},
        "asm": True,
        "asm_cutoffs": [4],
        "asm_div_value": 2.0,
        "sinusoidal_embeddings": True,
    },
    "DistilBert": {"sinusoidal_pos_embds": True},
    "Gemma3Text": {"_sliding_window_pattern": 1},
    "Llama": {"partial_rotary_factor": 0.5},
}


@pytest.mark.parametrize("model", HARMLESS)
def test_a_setting_that_is_called_harmless_changes_no_answer(tmp_path: Path, model: str) -> None:
    case = Case(model=model, key="hidden_size", value=32)
    folder = case.make(tmp_path / "made")
    wanted = theirs(case, folder)
    assert wanted
    for key, value in HARMLESS[model].items():
        changed = change(Path(shutil.copytree(folder, tmp_path / key)), **{key: value})
        assert not differ(theirs(case, changed), wanted), key


@pytest.mark.parametrize(
    ("model", "key", "value"),
    [
        ("DebertaV2", "pooler_hidden_size", 24),
        ("DebertaV2", "attention_head_size", 4),
        ("MobileBert", "true_hidden_size", 24),
        ("Flaubert", "pre_norm", True),
        ("Nystromformer", "inv_coeff_init_option", True),
        ("Nystromformer", "num_landmarks", 8),
    ],
)
def test_the_library_runs_no_model_with_another_value(
    tmp_path: Path, model: str, key: str, value: Any
) -> None:
    case = Case(model=model, key="hidden_size", value=32)
    folder = case.make(tmp_path / "made")
    assert theirs(case, folder)
    assert theirs(case, change(folder, **{key: value})) is None
