"""A tokenizer is served as transformers loads it, with the settings of every file beside tokenizer.json."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from build.sources.huggingface.config import read_json
from build.sources.huggingface.folder import token_types
from build.sources.huggingface.folder_files import read_folder_files
from build.sources.huggingface.served_architectures import SERVED
from build.sources.huggingface.tokenizer import read_tokenizer_of
from build.sources.huggingface.tokenizer_class import (
    CORRECTED,
    GENERIC,
    REGISTERED,
    SAME,
    TYPED,
    UNSERVED,
    gives_token_types,
)
from build.sources.source import Unusable
from build.tasks.registry import TASKS
from contracts.tasks import Task
from tests.fixtures.tokenizers.kinds import KINDS, saved, write

pytestmark = pytest.mark.build

TEXTS = (
    "The Train  is late",
    "Größe naïve 東京x",
    "it isn't [MASK] <mask> ok",
    " lead trail ",
    "A,B.c 12",
    "the café—late.",
    "now [MASK]late<mask>the train",
)
MASK_FLAGS = {
    "lstrip": True,
    "rstrip": False,
    "normalized": False,
    "single_word": False,
    "special": True,
}
# Settings, and the architectures whose tokenizers they change.
WORD_PIECE = ("bert", "distilbert", "electra", "mpnet")
BYTES, WORDS = (
    ("roberta", "deberta", "gpt2", "qwen3"),
    ("albert", "deberta-v2", "camembert", "llama", "rembert", "xlm-roberta"),
)
SETTINGS: tuple[tuple[dict[str, Any], tuple[str, ...]], ...] = (
    ({"do_lower_case": False}, (*WORD_PIECE, "albert")),
    ({"do_lower_case": True}, ("deberta-v2", "rembert")),
    ({"strip_accents": False}, WORD_PIECE),
    ({"tokenize_chinese_chars": False}, WORD_PIECE),
    ({"keep_accents": True}, ("albert",)),
    ({"keep_accents": False}, ("rembert",)),
    ({"split_by_punct": True}, ("deberta-v2",)),
    ({"add_prefix_space": True}, BYTES),
    ({"add_prefix_space": False}, WORDS),
    ({"legacy": True}, ("llama",)),
    ({"trim_offsets": False}, ("roberta",)),
    ({"extra_special_tokens": ["lat"]}, tuple(KINDS)),
    ({"additional_special_tokens": ["lat", "tra"]}, tuple(KINDS)),
    ({"image_token": "lat"}, tuple(KINDS)),
    ({"extra_special_tokens": {"boi_token": "lat"}}, tuple(KINDS)),
    ({"add_bos_token": True, "add_eos_token": True}, ()),
    ({"clean_up_tokenization_spaces": True, "padding_side": "left"}, ()),
    ({"legacy": False, "errors": "ignore", "trim_offsets": True}, ()),
)  # fmt: skip


def served(folder: Path) -> Tokenizer:
    """Return the tokenizer that an artefact would have."""
    path = folder / "tokenizer.json"
    read = read_tokenizer_of(path, read_json(folder / "config.json"))
    return Tokenizer.from_str(json.dumps({**read_json(path), **read.changes}))


Tokens = list[tuple[list[int], list[tuple[int, int]]]]


def tokens(tokenizer: Tokenizer) -> Tokens:
    """Return the ids of each text's tokens, and their places in it; of a pair as well."""
    encodings = [*(tokenizer.encode(text) for text in TEXTS), tokenizer.encode(*TEXTS[:2])]
    return [(encoding.ids, encoding.offsets) for encoding in encodings]


def theirs(folder: Path) -> Tokens:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = [tokenizer(*given, return_offsets_mapping=True) for given in (*zip(TEXTS), TEXTS[:2])]
    return [(one["input_ids"], one["offset_mapping"]) for one in found]


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_of_a_tokenizer_is_followed_as_transformers_follows_it(
    tmp_path: Path, kind: str
) -> None:
    plain = write(tmp_path / "plain", kind, saved(kind))
    before = theirs(plain)
    assert tokens(served(plain)) == before
    for number, (settings, changed) in enumerate(SETTINGS):
        folder = write(tmp_path / str(number), kind, saved(kind), **settings)
        wanted = theirs(folder)
        assert tokens(served(folder)) == wanted, settings
        assert (wanted != before) is (kind in changed), settings


@pytest.mark.parametrize("kind", ["bert", "roberta", "llama", "albert"])
def test_flags_of_added_tokens_are_those_that_count_in_transformers(
    tmp_path: Path, kind: str
) -> None:
    mask = KINDS[kind][2]["mask_token"]
    tokenizer = Tokenizer.from_str(json.dumps(saved(kind)))
    place, size = tokenizer.token_to_id(mask), tokenizer.get_vocab_size()
    token = {"content": mask, **MASK_FLAGS}
    new = {"content": "lat", **MASK_FLAGS, "normalized": True, "special": False}
    plain = theirs(write(tmp_path / "plain", kind, saved(kind)))
    listed = {
        str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in saved(kind)["added_tokens"]
    }
    tried: tuple[tuple[dict[str, Any], bool | None], ...] = (
        ({"added_tokens_decoder": {**listed, str(place): token}}, None),
        ({"added_tokens_decoder": {**listed, str(size): new}}, True),
        ({"mask_token": {"__type": "AddedToken", **token}}, None),
    )
    for number, (settings, changes) in enumerate(tried):
        folder = write(tmp_path / str(number), kind, saved(kind), **settings)
        wanted = theirs(folder)
        assert tokens(served(folder)) == wanted, settings
        assert changes is None or (wanted != plain) is changes, settings


@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
def test_older_files_of_special_and_added_tokens_are_read(tmp_path: Path, kind: str) -> None:
    folder = write(tmp_path / "older", kind, saved(kind))
    plain = theirs(folder)
    size = Tokenizer.from_str(json.dumps(saved(kind))).get_vocab_size()
    (folder / "special_tokens_map.json").write_text(
        json.dumps({"additional_special_tokens": ["lat"]}), "utf-8"
    )
    special = theirs(folder)
    assert tokens(served(folder)) == special != plain
    (folder / "special_tokens_map.json").unlink()
    (folder / "added_tokens.json").write_text(json.dumps({"tra": size}), "utf-8")
    added = theirs(folder)
    assert tokens(served(folder)) == added != plain


def test_a_class_may_be_named_in_config_json(tmp_path: Path) -> None:
    folder = write(tmp_path / "source", "bert", saved("bert"), do_lower_case=False)
    path = folder / "tokenizer_config.json"
    without = {k: v for k, v in read_json(path).items() if k != "tokenizer_class"}
    path.write_text(json.dumps(without), "utf-8")
    by_architecture = theirs(folder)
    assert tokens(served(folder)) == by_architecture
    (folder / "config.json").write_text(
        json.dumps({"model_type": "bert", "tokenizer_class": "PreTrainedTokenizerFast"}), "utf-8"
    )
    as_it_is = theirs(folder)
    assert tokens(served(folder)) == as_it_is != by_architecture


def test_tokens_are_put_around_a_text_where_only_the_class_does_so(tmp_path: Path) -> None:
    folder = write(tmp_path / "source", "bert", {**saved("bert"), "post_processor": None})
    wanted = theirs(folder)
    assert tokens(served(folder)) == wanted
    assert wanted[0][0][0] == 2


@pytest.mark.parametrize("kind", ["bert", "mpnet", "roberta", "gpt2", "qwen3", "llama"])
def test_a_class_makes_its_own_kind_of_model_of_any_words(tmp_path: Path, kind: str) -> None:
    from transformers import AutoTokenizer

    document = saved(kind)
    words = {"type": "WordLevel", "vocab": document["model"]["vocab"], "unk_token": "<unk>"}
    folder = write(tmp_path / "words", kind, {**document, "model": words, "decoder": None})
    found = served(folder)
    assert tokens(found) == theirs(folder)
    ids = list(range(3, 30))
    assert found.decode(ids) == AutoTokenizer.from_pretrained(folder).backend_tokenizer.decode(ids)


OTHER_PARTS: tuple[dict[str, Any], ...] = (
    {"normalizer": {"type": "Lowercase"}},
    {"normalizer": None},
    {"pre_tokenizer": {"type": "Whitespace"}},
    {"pre_tokenizer": None},
    {"post_processor": None},
)


@pytest.mark.parametrize("kind", KINDS)
def test_parts_that_a_class_makes_itself_are_the_class_s_whatever_tokenizer_json_has(
    tmp_path: Path, kind: str
) -> None:
    for number, parts in enumerate(OTHER_PARTS):
        folder = write(tmp_path / str(number), kind, {**saved(kind), **parts})
        assert tokens(served(folder)) == theirs(folder), parts


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("own", [None, "Left", "Right"])
def test_texts_are_cut_on_the_side_of_tokenizer_config_or_else_of_tokenizer_json(
    tmp_path: Path, side: str, own: str | None
) -> None:
    document = saved("bert")
    if own:
        cut = {"direction": own, "max_length": 8, "strategy": "LongestFirst", "stride": 0}
        document = {**document, "truncation": cut}
    for settings, wanted in (({"truncation_side": side}, side), ({}, (own or "right").lower())):
        folder = write(tmp_path / str(len(settings)), "bert", document, **settings)
        from transformers import AutoTokenizer

        found = served(folder).truncation or {"direction": "right"}
        assert found["direction"] == wanted
        assert AutoTokenizer.from_pretrained(folder).truncation_side == wanted


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tokenizer_class": "BertJapaneseTokenizer"}, ("BertJapaneseTokenizer", "tokenizer.json")),
        ({"cls_token": "[BEGIN]"}, ("`cls_token`", "[BEGIN]", GENERIC)),
        ({"unk_token": "[NEVER]"}, ("`unk_token`", "[NEVER]", GENERIC)),
    ],
)
def test_what_tokenizer_json_cannot_hold_or_contradicts_is_named(
    tmp_path: Path, settings: dict[str, Any], words: tuple[str, ...]
) -> None:
    folder = write(tmp_path / "source", "bert", saved("bert"), **settings)
    with pytest.raises(Unusable) as caught:
        served(folder)
    (problem,) = caught.value.problems
    assert [word for word in words if word not in problem.message] == []
    if "tokenizer_class" not in settings:  # the way out that the message names
        write(folder, "bert", saved("bert"), **{**settings, "tokenizer_class": GENERIC})
        served(folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "inputs", [None, ["input_ids", "attention_mask"], ["input_ids", "token_type_ids"]], ids=str
)
def test_a_model_gets_token_types_where_transformers_gives_it_some(
    tmp_path: Path, kind: str, inputs: list[str] | None
) -> None:
    from transformers import AutoTokenizer

    settings = {"model_input_names": inputs} if inputs else {}
    folder = write(tmp_path / "source", kind, saved(kind), **settings)
    read = read_tokenizer_of(folder / "tokenizer.json", read_json(folder / "config.json"))
    wanted = "token_type_ids" in AutoTokenizer.from_pretrained(folder)(TEXTS[0])
    assert gives_token_types(read.kind, read_json(folder / "tokenizer_config.json")) is wanted


@pytest.mark.parametrize("model_type", ["gpt2", "xlm", "flaubert"])
def test_token_types_that_would_be_taken_for_words_are_refused(
    tmp_path: Path, model_type: str
) -> None:
    folder = write(tmp_path / "source", "bert", saved("bert"), tokenizer_class=GENERIC)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}), "utf-8")
    files, task = read_folder_files(folder), TASKS[Task.TEXT_CLASSIFICATION]
    assert token_types(files, task) == {"token_types": False}
    given = replace(files, tokenizer_config={"model_input_names": ["input_ids", "token_type_ids"]})
    with pytest.raises(
        Unusable, match=f"`model_input_names` has token_type_ids, which {model_type}"
    ):
        token_types(given, task)
    assert token_types(given, TASKS[Task.TEXT_GENERATION]) == {}


def test_the_classes_are_those_of_the_library() -> None:
    from transformers.models.auto import tokenization_auto as theirs

    own = {
        name: GENERIC if kind is None else kind
        for name, kind in theirs.TOKENIZER_MAPPING_NAMES.items()
    }
    found = {
        name: SAME.get(own[name], own[name]) for name in (SERVED | set(REGISTERED)) & own.keys()
    }
    assert found == dict(REGISTERED)
    assert {
        n for n in REGISTERED if n in theirs.MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS
    } == CORRECTED
    for name, same in SAME.items():
        assert theirs.tokenizer_class_from_name(name).__name__ == same
    from transformers import TokenizersBackend

    for name in UNSERVED - {"MarianTokenizer", "RoFormerTokenizer"}:
        assert not issubclass(theirs.tokenizer_class_from_name(name), TokenizersBackend)
    for name in TYPED:
        assert "token_type_ids" in theirs.tokenizer_class_from_name(name).model_input_names
