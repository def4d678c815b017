"""A Hugging Face folder: what it holds, what it says of itself, and whether it can be built for a task."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from build.sources.formats import HUGGING_FACE
from build.sources.huggingface.checkpoint import (
    SENTENCE_CONFIG,
    TOKENIZER_CONFIG,
    Checkpoint,
    read_checkpoint,
)
from build.sources.huggingface.config import whole
from build.sources.huggingface.generation_config import details as generation_details
from build.sources.huggingface.pooling_config import read_pooling
from build.sources.huggingface.weights import missing, weights_of
from build.sources.source import TransformersSource, Unusable, digest_of
from contracts.problems import Code
from contracts.specs import Hints
from contracts.tasks import Task

# What a transformers tokenizer says when it has no limit of its own is a number around 1e30.
NO_LIMIT = 1_000_000
ARCHITECTURES = {
    Task.TEXT_CLASSIFICATION: ("ForSequenceClassification",),
    Task.ZERO_SHOT_CLASSIFICATION: ("ForSequenceClassification",),
    Task.TEXT_RANKING: ("ForSequenceClassification",),
    Task.TOKEN_CLASSIFICATION: ("ForTokenClassification",),
    Task.QUESTION_ANSWERING: ("ForQuestionAnswering",),
    Task.FILL_MASK: ("ForMaskedLM",),
    Task.FEATURE_EXTRACTION: ("",),  # a head that was trained on it besides is left out
    Task.TEXT_GENERATION: ("ForCausalLM", "LMHeadModel"),
    Task.TEXT2TEXT_GENERATION: ("ForConditionalGeneration",),
    Task.LANGUAGE_MODEL_SCORING: ("ForCausalLM", "LMHeadModel"),
}
# Rows of an embedding are rounded up to what hardware likes, and some are kept for tokens to come: up to a tenth.
LEAST_KNOWN = 0.9
# Architectures whose positions begin behind the padding's.
SHIFTED = {"roberta", "xlm-roberta", "camembert", "mpnet"}


def read(folder: Path, task: Task, max_tokens: int | None, hints: Hints) -> TransformersSource:
    """The source; raises Unusable with everything that is missing, or the first thing that is wrong."""
    if problems := missing(folder, pickle=hints.pickle):
        raise Unusable.listing(problems)
    if task not in ARCHITECTURES:
        raise Unusable(
            Code.TASK_UNSUPPORTED,
            f"{task} cannot be built from a Hugging Face folder yet; correct `task`",
        )
    weight_bytes, weights, pickled = weights_of(folder)
    checkpoint = read_checkpoint(folder)
    architecture = _architecture(checkpoint.config)
    if not architecture.endswith(ARCHITECTURES[task]):
        raise Unusable(
            Code.TASK_UNSUPPORTED,
            f"its architecture is {architecture}, but {task} needs one that ends in "
            f"{' or '.join(ARCHITECTURES[task])}; correct `task`, or fine-tune a head for it",
        )
    _check_vocabulary(checkpoint)
    limit = read_max_tokens(checkpoint, max_tokens)
    embeds = task is Task.FEATURE_EXTRACTION
    pooling = read_pooling(checkpoint, pickle=hints.pickle) if embeds else None
    has_labels = ARCHITECTURES[task][0].endswith("eClassification") or (
        task is Task.TOKEN_CLASSIFICATION
    )
    labels = (
        read_labels(checkpoint.config, 1 if task is Task.TEXT_RANKING else 2) if has_labels else ()
    )
    return TransformersSource(
        kind=HUGGING_FACE,
        path=folder,
        task=task,
        digest=digest_of(folder),
        tokenizer=folder / "tokenizer.json",
        weight_bytes=weight_bytes,
        weights=weights,
        heads=checkpoint.settings.heads,
        hidden=checkpoint.settings.hidden,
        max_tokens=limit,
        labels=labels,
        pickled=pickled or any(layer.pickled for layer in (pooling.dense if pooling else ())),
        pooling=pooling,
        pad_token_id=checkpoint.settings.pad,
        licence=read_licence(folder),
        details=read_details(checkpoint, task, labels) or _writing(checkpoint, task, limit),
    )


def _architecture(config: Mapping[str, Any]) -> str:
    named = config.get("architectures") or ["none"]
    if not isinstance(named, list):
        raise Unusable(
            Code.FILE_DAMAGED,
            "config.json has `architectures` that are no list; save the model again",
        )
    return str(named[0])


def _check_vocabulary(checkpoint: Checkpoint) -> None:
    """Every token has a row in the embedding, and nearly every row a token; of another model's tokenizer not."""
    rows, most = checkpoint.settings.vocabulary, checkpoint.tokenizer.max_id + 1
    if rows and most > rows:
        raise Unusable(
            Code.TOKENIZER_MISMATCH,
            f"tokenizer.json makes ids up to {most - 1}, but the embedding has {rows} rows; "
            "save the tokenizer that belongs to the model",
        )
    if most < rows * LEAST_KNOWN:
        raise Unusable(
            Code.TOKENIZER_MISMATCH,
            f"tokenizer.json makes ids up to {most - 1} only, but the embedding has {rows} rows: it belongs to another "
            "model; save the model's own, or cut the embedding to the tokens that it has",
        )


def read_labels(config: Mapping[str, Any], least: int) -> tuple[str, ...]:
    names = config.get("id2label") or {}
    if not isinstance(names, dict):
        names = {}
    labels = tuple(str(names.get(str(i), "")) for i in range(len(names)))
    if len(labels) < least or not all(labels) or len(set(labels)) < len(labels):
        raise Unusable(
            Code.LABELS_MISSING,
            "config.json has no complete `id2label`; name every label once, from 0 up",
        )
    return labels


def read_max_tokens(
    checkpoint: Checkpoint, asked: int | None, position_rows: int | None = None
) -> int:
    positions = checkpoint.settings.positions
    if positions and checkpoint.config.get("model_type") in SHIFTED:
        positions -= checkpoint.settings.pad + 1
    limits = (
        whole(checkpoint.sentence_config, "max_seq_length", least=0, file=SENTENCE_CONFIG),
        whole(checkpoint.tokenizer_config, "model_max_length", least=0, file=TOKENIZER_CONFIG),
        positions,
        position_rows,
    )
    known = [limit for limit in limits if limit and limit < NO_LIMIT]
    if not known and not asked:
        raise Unusable(
            Code.LENGTH_MISSING,
            "says nowhere how many tokens it reads; give max_tokens in its tier's table",
        )
    most = min(known, default=asked or 0)
    if asked and asked > most:
        raise Unusable(
            Code.LENGTH_INVALID,
            f"reads {most} tokens at most, but max_tokens asks for {asked}; lower it",
        )
    return asked or most


def read_details(checkpoint: Checkpoint, task: Task, labels: tuple[str, ...]) -> dict[str, Any]:
    """What the task's reader has to know besides."""
    if task is Task.TEXT_CLASSIFICATION:
        multi = checkpoint.config.get("problem_type") == "multi_label_classification"
        return {"multi_label": True} if multi else {}
    if task is Task.TEXT_RANKING and len(labels) != 1:
        raise Unusable(
            Code.LABELS_MISMATCH,
            f"has {len(labels)} labels, but text-ranking needs a cross-encoder with one score",
        )
    if task is Task.ZERO_SHOT_CLASSIFICATION:
        return _entailment(labels)
    if task is Task.FILL_MASK:
        return _mask(checkpoint)
    return {}


def _writing(checkpoint: Checkpoint, task: Task, limit: int) -> dict[str, Any]:
    """What a model that writes has to know besides."""
    if task not in (Task.TEXT_GENERATION, Task.TEXT2TEXT_GENERATION):
        return {}
    return generation_details(checkpoint, limit)


def _entailment(labels: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {
        key: i
        for key in ("entailment", "contradiction")
        for i, label in enumerate(labels)
        if label.lower().startswith(key[:6])
    }
    if len(found) < 2:
        raise Unusable(
            Code.LABELS_MISMATCH,
            f"zero-shot needs labels named entailment and contradiction; it has {', '.join(labels)}",
        )
    return found


def _mask(checkpoint: Checkpoint) -> dict[str, Any]:
    token = checkpoint.tokenizer_config.get("mask_token")
    if isinstance(token, dict):
        token = token.get("content")
    known = checkpoint.tokenizer.vocabulary
    if not isinstance(token, str) or token not in known:
        raise Unusable(
            Code.TOKENIZER_MISMATCH, "tokenizer_config.json names no mask_token of the vocabulary"
        )
    if not checkpoint.settings.vocabulary:
        raise Unusable(Code.FILE_DAMAGED, "config.json has no `vocab_size`; save the model again")
    return {
        "mask_token": token,
        "mask_id": known[token],
        "vocabulary": checkpoint.settings.vocabulary,
    }


def read_licence(folder: Path) -> str:
    """What the model card says of it: the `license` of its YAML header."""
    card = folder / "README.md"
    if not card.is_file():
        return ""
    header = re.match(r"---\n(.*?)\n---", card.read_text("utf-8", "replace"), re.DOTALL)
    found = re.search(r"^license:\s*(\S+)", header.group(1), re.MULTILINE) if header else None
    return found.group(1).strip("\"'") if found else ""
