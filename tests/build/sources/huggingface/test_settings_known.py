"""The table of settings has every key that the libraries know: of their configs, and of the code that reads them."""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from build.sources.huggingface.code_settings import RULES
from build.sources.huggingface.folder_files import SENTENCE_CONFIGS
from build.sources.huggingface.served_architectures import SERVED
from build.sources.huggingface.settings.table import (
    CONFIG,
    DENSE,
    GENERATION,
    LOGIT_SCORE,
    NORMALIZE,
    POOLING,
    TABLE,
    settings_of,
)

pytestmark = pytest.mark.build


def missing(file: str, keys: Iterator[str] | list[str]) -> list[str]:
    return sorted({key for key in keys if key not in settings_of(file) and key not in RULES})


def test_every_setting_of_the_served_architectures_is_in_the_table() -> None:
    from transformers import CONFIG_MAPPING

    keys = [key for name in sorted(SERVED) for key in CONFIG_MAPPING[name]().to_dict()]
    assert missing(CONFIG, keys) == []


# How the code of a model names a setting, with and without a default, or one of an older release in its config's class.
READ = re.compile(
    r'\bconfig\.(\w+)|getattr\((?:self\.)?config, "(\w+)"|kwargs\.(?:pop|get)\("(\w+)"'
)


# Inputs of a model, and what Gemma 3 reads images by, which has its code in the same file.
ASIDE = {
    "attention_mask", "position_ids", "token_type_ids", "get_text_config", "image_token_id", "mm_tokens_per_image",
    "text_config", "vision_config",
}  # fmt: skip


def read_by_the_library(name: str) -> set[str]:
    """Return the keys of config.json that the code of an architecture names."""
    import transformers
    from transformers.models.auto.configuration_auto import model_type_to_module_name

    module = model_type_to_module_name(name)
    folder = Path(transformers.__file__).parent / "models" / module
    own = name.replace("-", "_")
    files = [
        next(each for each in (folder / f"{kind}_{n}.py" for n in (own, module)) if each.is_file())
        for kind in ("modeling", "configuration")
    ]
    found = (READ.findall(path.read_text("utf-8")) for path in files)
    return {key for keys in found for match in keys for key in match if key}


def test_every_setting_that_the_code_of_a_served_architecture_names_is_in_the_table() -> None:
    named = {name: read_by_the_library(name) - ASIDE for name in sorted(SERVED)}
    assert all(len(keys) > 5 for keys in named.values())
    assert {n: found for n, keys in named.items() if (found := missing(CONFIG, list(keys)))} == {}


def test_what_no_code_reads_is_named_by_no_code() -> None:
    unread = {one.key for one in TABLE[CONFIG] if one.why.startswith("transformers 5 has no code")}
    assert len(unread) > 10
    assert {name for name in SERVED if read_by_the_library(name) & unread} == set()


def test_every_setting_of_generation_is_in_the_table() -> None:
    from transformers import GenerationConfig

    assert missing(GENERATION, list(GenerationConfig().to_dict())) == []


def test_every_setting_of_a_tokenizer_is_in_the_table() -> None:
    from transformers import PreTrainedTokenizerBase, TokenizersBackend
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    from build.sources.huggingface.tokenizer_class import REGISTERED, UNSERVED

    known = [
        "_".join(("extra", "special", "tokens")),
        *PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES,
    ]
    for name in sorted(set(REGISTERED.values()) - UNSERVED):
        kind = tokenizer_class_from_name(name)
        parameters = inspect.signature(kind.__init__).parameters
        known += [
            key for key in parameters if key not in ("self", "args", "kwargs", "vocab", "merges")
        ]
    # A key for a token may have any name.
    own = {"_spm_precompiled_charsmap", "tokenizer_object", "question_token"}
    assert issubclass(tokenizer_class_from_name("BertTokenizer"), TokenizersBackend)
    assert missing("tokenizer_config.json", [key for key in known if key not in own]) == []
    from tokenizers import Tokenizer, models

    assert missing("tokenizer.json", list(json.loads(Tokenizer(models.BPE()).to_str()))) == []


def test_every_setting_of_sentence_transformers_is_in_the_table() -> None:
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.cross_encoder.modules import LogitScore
    from sentence_transformers.sentence_transformer.modules import Pooling

    parameters = inspect.signature(Transformer.__init__).parameters
    arguments = [key for key in parameters if key not in ("self", "model_name_or_path", "backend")]
    assert missing(SENTENCE_CONFIGS[0], [*Transformer.config_keys, *arguments]) == []
    assert missing(POOLING, [*Pooling.config_keys, *Pooling.config_key_renames]) == []
    assert missing(DENSE, Dense.config_keys) == []
    assert missing(NORMALIZE, Normalize.config_keys) == []
    assert missing(LOGIT_SCORE, LogitScore.config_keys) == []
    names = inspect.getsource(Transformer.load_config)
    assert [name for name in SENTENCE_CONFIGS if name not in names] == []
    assert names.count("_config.json") == len(SENTENCE_CONFIGS)
