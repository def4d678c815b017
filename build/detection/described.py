"""A model as its files describe it, whether its weights are there or not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from build.detection.model_card import ModelCard, read_card
from build.sources.huggingface.config import FILE, optional_json
from build.sources.huggingface.pooling_config import read_modules
from build.sources.huggingface.tokenizer import TOKENIZER_CONFIG, read_tokenizer
from build.tasks.description import ModelFacts

MODULES, SENTENCE_TRANSFORMERS = "modules.json", "config_sentence_transformers.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """An output of a graph: its name, and its size by axes, 0 for one that is open; None if nothing says how many."""

    name: str
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The facts of a model that are known before its task is: its format, its parsed files, a bare graph's outputs.

    `modules` are the kinds of sentence-transformers' modules; `labelled` says that the user named labels.
    """

    format_: str
    config: Mapping[str, Any] = field(default_factory=dict)
    facts: ModelFacts | None = None
    modules: tuple[str, ...] = ()
    cross_encoder: bool = False
    card: ModelCard = ModelCard()
    outputs: tuple[Output, ...] = ()
    labelled: bool = False

    @property
    def architecture(self) -> str:
        """Return the first class that config.json names, "" where it names none."""
        named = self.config.get("architectures")
        return str(named[0]) if isinstance(named, list) and named else ""


def describe_folder(folder: Path, format_: str) -> Described:
    """Return what the JSON files and the model card in a folder say; raise Unusable for one that is damaged."""
    config = optional_json(folder / FILE)
    sentence = optional_json(folder / SENTENCE_TRANSFORMERS)
    return Described(
        format_=format_,
        config=config,
        facts=_facts(folder, config),
        modules=_modules(folder),
        # Before release 4, a cross-encoder was marked by its activation alone.
        cross_encoder=sentence.get("model_type") == "CrossEncoder"
        or "sbert_ce_default_activation_function" in config
        or "sentence_transformers" in config,
        card=read_card(folder),
    )


def _facts(folder: Path, config: Mapping[str, Any]) -> ModelFacts:
    tokenizer = folder / "tokenizer.json"
    return ModelFacts(
        labels=_labels(config),
        config=config,
        tokenizer_config=optional_json(folder / TOKENIZER_CONFIG),
        vocabulary=read_tokenizer(tokenizer).vocabulary if tokenizer.is_file() else {},
    )


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    names = config.get("id2label")
    return tuple(map(str, names.values())) if isinstance(names, dict) else ()


def _modules(folder: Path) -> tuple[str, ...]:
    path = folder / MODULES
    return tuple(kind for kind, _ in read_modules(path)) if path.is_file() else ()
