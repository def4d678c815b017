"""The table of settings by file, which docs/settings.md prints and a build checks folders by."""

from collections.abc import Mapping

from build.sources.huggingface.folder_files import SENTENCE_CONFIGS
from build.sources.huggingface.settings import (
    generation,
    model_config,
    sentence_files,
    tokenizer_files,
)
from build.sources.huggingface.settings.setting import Setting

CONFIG, GENERATION = "config.json", "generation_config.json"
MODULES, POOLING = "modules.json", "1_Pooling/config.json"
DENSE, NORMALIZE = "2_Dense/config.json", "2_Normalize/config.json"
LOGIT_SCORE = "1_LogitScore/config.json"
WHOLE_MODEL = "config_sentence_transformers.json"
# Files that may have keys of any name for a token of the model's own.
TOKENS_OF_ANY_NAME = ("tokenizer_config.json", "special_tokens_map.json")

TABLE: Mapping[str, tuple[Setting, ...]] = {
    CONFIG: model_config.SETTINGS,
    "tokenizer_config.json": tokenizer_files.TOKENIZER_CONFIG,
    "tokenizer.json": tokenizer_files.TOKENIZER,
    "special_tokens_map.json": tokenizer_files.SPECIAL_TOKENS_MAP,
    GENERATION: generation.SETTINGS,
    SENTENCE_CONFIGS[0]: sentence_files.TRANSFORMER,
    MODULES: sentence_files.MODULES,
    POOLING: sentence_files.POOLING,
    DENSE: sentence_files.DENSE,
    NORMALIZE: sentence_files.NORMALIZE,
    LOGIT_SCORE: sentence_files.LOGIT_SCORE,
    WHOLE_MODEL: sentence_files.WHOLE_MODEL,
}


def settings_of(file: str) -> dict[str, Setting]:
    """Return the settings of a file by their keys."""
    return {setting.key: setting for setting in TABLE[file]}
