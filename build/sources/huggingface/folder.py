"""A Hugging Face folder as a source, with the checks that it can be built for a task."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build.sources.formats import HUGGING_FACE
from build.sources.huggingface import code_settings
from build.sources.huggingface.chat import reranker, writer
from build.sources.huggingface.config import FILE, optional_json, read_json, whole
from build.sources.huggingface.folder_files import (
    SENTENCE_TRANSFORMERS,
    FolderFiles,
    read_folder_files,
)
from build.sources.huggingface.generation_config import details as generation_details
from build.sources.huggingface.labels import read_labels
from build.sources.huggingface.marian.folder import SOURCE, is_marian
from build.sources.huggingface.pooling_config import (
    inner_folder,
    lowercase,
    read_pooling,
)
from build.sources.huggingface.served_architectures import architecture_problem
from build.sources.huggingface.settings import check
from build.sources.huggingface.settings.table import MODULES
from build.sources.huggingface.stored_forms import adapter_problem, quantized_problem
from build.sources.huggingface.tokenizer import TOKENIZER_CONFIG
from build.sources.huggingface.tokenizer_class import (
    TOKEN_TYPES,
    TYPES_AMONG_WORDS,
    gives_token_types,
)
from build.sources.huggingface.weights import missing, missing_settings, weights_of
from build.sources.source import TransformersSource, Unusable, digest_of
from build.sources.token_limit import MAX_TRUSTED_LIMIT, token_limit
from build.tasks.description import FamilyName, ModelFacts, TaskDescription
from build.tasks.token_scores import is_causal
from contracts.problems import Code, Problem
from contracts.specs import SourceOptions
from contracts.tasks import Task

# The smallest share of an embedding's rows that have a token: rows are padded to a multiple that hardware likes, and
# some are reserved for tokens to be added. Fewer mean that the tokenizer belongs to another model.
MIN_KNOWN = 0.9
# Architectures whose positions begin behind that of the padding, so that the table has rows that no token uses, with
# the id of the padding where config.json has none.
SHIFTED = {
    "camembert": 1,
    "data2vec-text": 1,
    "esm": 1,
    "ibert": 1,
    "mpnet": 1,
    "roberta": 1,
    "xlm-roberta": 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSettings:
    """The facts of a model in the files of its folder besides the weights, checked for a task."""

    files: FolderFiles
    max_tokens: int
    labels: tuple[str, ...]
    details: Mapping[str, Any]


def read(
    folder: Path, task: TaskDescription, max_tokens: int | None, options: SourceOptions
) -> TransformersSource:
    """Return the source; raise Unusable with all that keeps it from being read, or else with the first problem."""
    inner = inner_folder(folder, pooled=task.graph.pooled)
    model = folder / inner
    if problems := unreadable(folder, task, missing(model, pickle=options.allow_pickle)):
        raise Unusable.listing(problems)
    weights = weights_of(model)
    settings = _settings(folder, task, max_tokens, options.labels)
    pooling = (
        read_pooling(settings.files, pickle=options.allow_pickle) if task.graph.pooled else None
    )
    return TransformersSource(
        kind=HUGGING_FACE,
        path=folder,
        task=task,
        digest=digest_of(folder),
        inner=inner,
        tokenizer=model / (SOURCE if is_marian(settings.files.config) else "tokenizer.json"),
        tokenizer_changes={
            **settings.files.tokenizer.changes,
            **(lowercase(settings.files) if pooling else {}),
        },
        weight_bytes=weights.size,
        weights=weights.count,
        heads=settings.files.settings.heads,
        hidden=settings.files.settings.hidden,
        max_tokens=settings.max_tokens,
        labels=settings.labels,
        pickled=weights.pickled
        or any(layer.pickled for layer in (pooling.dense if pooling else ())),
        pooling=pooling,
        pad_token_id=settings.files.settings.pad,
        licence=read_licence(folder),
        notes=check.unknown(folder, task),
        details=settings.details,
    )


def _settings(
    folder: Path, task: TaskDescription, max_tokens: int | None, given: Sequence[str] = ()
) -> FolderSettings:
    """Return what is known of a model without its weights; raise Unusable with the first problem.

    `given` are the labels of models.toml.
    """
    files = read_folder_files(folder, inner=inner_folder(folder, pooled=task.graph.pooled))
    _check_vocabulary(files)
    by_sentences = task.graph.pooled or task.name is Task.TEXT_RANKING
    limit = read_max_tokens(files, max_tokens, by_sentences=by_sentences)
    labels = _labels(files, task, given)
    details = {
        **read_details(files, task, labels),
        **_generation(files, task, limit),
        **token_types(files, task),
    }
    if task.name is Task.TEXT_RANKING:
        details |= reranker.details(files, details.get("prompts", {}).values())
    if task.name is Task.TEXT_GENERATION:
        details |= writer.details(files)
    return FolderSettings(files=files, max_tokens=limit, labels=labels, details=details)


def _labels(files: FolderFiles, task: TaskDescription, given: Sequence[str]) -> tuple[str, ...]:
    if not task.min_labels:
        return ()
    # A causal model has the logit of a token for a score, and no labels.
    if task.name is Task.TEXT_RANKING and is_causal(files.config):
        return task.default_labels
    return read_labels(files.config, task.min_labels, given)


def read_described(folder: Path, task: TaskDescription, max_tokens: int | None) -> FolderSettings:
    """Return what is known of a model whose weights are elsewhere; raise Unusable as `read` does."""
    model = folder / inner_folder(folder, pooled=task.graph.pooled)
    if problems := unreadable(folder, task, missing_settings(model)):
        raise Unusable.listing(problems)
    return _settings(folder, task, max_tokens)


def unreadable(folder: Path, task: TaskDescription, lacking: Sequence[Problem]) -> list[Problem]:
    """Return every reason not to read a folder: what it is, what it is `lacking`, what it would have a library do.

    Raise Unusable for a config.json that cannot be parsed.
    """
    model = folder / inner_folder(folder, pooled=task.graph.pooled)
    if adapter := adapter_problem(model):
        return [adapter]  # which lacks the files of a whole model
    if not task.transformers.architectures:
        message = f"{task.name} cannot be built from a Hugging Face folder yet; correct `task`"
        return [Problem(code=Code.TASK_UNSUPPORTED, message=message)]
    problems = [*lacking, *code_settings.problems(folder)]
    if (model / FILE).is_file():
        config = read_json(model / FILE)
        found = (architecture_problem(config, task), quantized_problem(model, config))
        problems += [problem for problem in found if problem]
    return problems + check.refused(folder, task)


def _check_vocabulary(files: FolderFiles) -> None:
    """Raise Unusable for another model's tokenizer: one with a token without a row, or too many rows without one."""
    rows, last = files.settings.vocabulary, files.tokenizer.max_id
    if rows and last >= rows:
        raise Unusable(
            Code.TOKENIZER_MISMATCH,
            f"{files.tokenizer.name} makes ids up to {last}, but the embedding has {rows} rows; "
            "save the tokenizer that belongs to the model",
        )
    if last + 1 < rows * MIN_KNOWN:
        raise Unusable(
            Code.TOKENIZER_MISMATCH,
            f"{files.tokenizer.name} makes ids up to {last} only, but the embedding has {rows} rows: it belongs to "
            "another model; save the model's own, or cut the embedding to the tokens that it has",
        )


def read_max_tokens(
    files: FolderFiles,
    max_tokens: int | None,
    position_rows: int | None = None,
    *,
    by_sentences: bool,
) -> int:
    """Return how many tokens are read of each text: `max_tokens`, or else the smallest limit of the folder's files.

    Raise Unusable for more than that limit, and where there is neither. `position_rows` is the limit that a graph
    itself shows (see `build.sources.position_tables`). A model is read `by_sentences` where sentence-transformers is
    its library, whose own limit comes in place of the tokenizer's.
    """
    positions = files.settings.positions
    shifted = SHIFTED.get(str(files.config.get("model_type")))
    if positions and shifted is not None:
        positions -= (files.settings.pad if "pad_token_id" in files.config else shifted) + 1
    name = files.sentence_config_name
    own = whole(files.sentence_config, "max_seq_length", minimum=0, file=name)
    # `max_len` is the name of older releases.
    names = ("model_max_length", "max_len")
    tokenizers = whole(files.tokenizer_config, *names, minimum=0, file=TOKENIZER_CONFIG)
    limits = (own if by_sentences and own else tokenizers, positions, position_rows)
    known = [limit for limit in limits if limit and limit < MAX_TRUSTED_LIMIT]
    limit = token_limit(max_tokens, known)
    if limit is None:
        raise Unusable(
            Code.LENGTH_MISSING,
            "says nowhere how many tokens it reads; give max_tokens in its tier's table",
        )
    return limit


def read_details(
    files: FolderFiles, task: TaskDescription, labels: tuple[str, ...]
) -> dict[str, Any]:
    """Return the details that the task's head needs to serve this model; raise Unusable where they are missing."""
    # sentence-transformers looks at its own settings only in a folder that it saved, which has modules.json.
    own = (files.folder / MODULES).is_file()
    facts = ModelFacts(
        labels=labels,
        config=files.config,
        tokenizer_config=files.tokenizer_config,
        sentence_transformers=optional_json(files.folder / SENTENCE_TRANSFORMERS) if own else {},
        vocabulary=files.tokenizer.vocabulary,
    )
    if problems := task.transformers.problems(facts):
        raise Unusable.listing(problems)
    return task.transformers.details(facts)


def _generation(files: FolderFiles, task: TaskDescription, limit: int) -> dict[str, Any]:
    """Return the details of a generator; nothing for another task."""
    if task.family not in (FamilyName.CAUSAL, FamilyName.SEQ2SEQ):
        return {}
    return generation_details(files, limit)


def token_types(files: FolderFiles, task: TaskDescription) -> dict[str, Any]:
    """Return the detail of a model whose inputs have no token types; nothing for one that gets them.

    Raise Unusable where they would be taken for words.
    """
    given = gives_token_types(files.tokenizer.kind, files.tokenizer_config)
    model_type = files.config.get("model_type")
    if given and task.family is FamilyName.ENCODER and model_type in TYPES_AMONG_WORDS:
        raise Unusable(
            Code.SETTING_UNSUPPORTED,
            f"{TOKENIZER_CONFIG}: `model_input_names` has {TOKEN_TYPES}, which {model_type} looks up among its words; "
            "take it out of the list",
        )
    return {} if given or task.family is not FamilyName.ENCODER else {"token_types": False}


def read_licence(folder: Path) -> str:
    """Return the `license` in the YAML header of the model card, "" where there is none."""
    card = folder / "README.md"
    if not card.is_file():
        return ""
    header = re.match(r"---\n(.*?)\n---", card.read_text("utf-8", "replace"), re.DOTALL)
    licence = re.search(r"^license:\s*(\S+)", header.group(1), re.MULTILINE) if header else None
    return licence.group(1).strip("\"'") if licence else ""
