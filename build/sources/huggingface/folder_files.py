"""The JSON files of a Hugging Face folder, each parsed once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build.sources.huggingface.config import FILE, Settings, optional_json, read_settings
from build.sources.huggingface.marian.folder import is_marian
from build.sources.huggingface.tokenizer import (
    TOKENIZER_CONFIG,
    TokenizerFile,
    read_tokenizer,
    read_tokenizer_of,
    read_tokenizer_of_marian,
)

# The settings of sentence-transformers' Transformer, by the names of today's and of older releases; the first counts.
SENTENCE_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# sentence-transformers' own settings of a model: its prompts, a cross-encoder's activation.
SENTENCE_TRANSFORMERS = "config_sentence_transformers.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFiles:
    """The files that describe a model in `folder`, or in a folder within; an optional one that is missing is empty.

    A folder with an ONNX graph has the same files, but its tokenizer may lie elsewhere.
    """

    folder: Path
    config: Mapping[str, Any]
    settings: Settings
    tokenizer: TokenizerFile
    tokenizer_config: Mapping[str, Any]
    sentence_config: Mapping[str, Any]
    sentence_config_name: str = SENTENCE_CONFIGS[0]


def read_folder_files(folder: Path, tokenizer: Path | None = None, inner: str = "") -> FolderFiles:
    """Return what the folder says of its model; raise Unusable where a file is damaged.

    The model without its pooling lies in the folder `inner`, if that is given.
    Files that only one check needs, such as modules.json, are left to that check: a model for another task is built
    even if they are damaged.
    """
    model = folder / inner
    config = optional_json(model / FILE)
    name = next((n for n in SENTENCE_CONFIGS if (model / n).is_file()), SENTENCE_CONFIGS[0])
    own, other = model / "tokenizer.json", tokenizer or model / "tokenizer.json"
    # A bare graph's tokenizer may come from elsewhere, or without settings, and is then served as it is.
    beside = other == own and (tokenizer is None or (model / TOKENIZER_CONFIG).is_file())
    if tokenizer is None and is_marian(config):
        ids = read_tokenizer_of_marian(model)
    else:
        ids = read_tokenizer_of(other, config) if beside else read_tokenizer(other)
    return FolderFiles(
        folder=folder,
        config=config,
        settings=read_settings(config),
        tokenizer=ids,
        tokenizer_config=optional_json(model / TOKENIZER_CONFIG),
        sentence_config=optional_json(model / name),
        sentence_config_name=name,
    )
