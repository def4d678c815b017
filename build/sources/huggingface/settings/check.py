"""The check of a folder's files against the table of settings, before anything is exported."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from build.sources.huggingface.code_settings import RULES
from build.sources.huggingface.config import MAX_SHOWN
from build.sources.huggingface.folder_files import SENTENCE_CONFIGS
from build.sources.huggingface.pooling_config import inner_folder
from build.sources.huggingface.settings.setting import Setting
from build.sources.huggingface.settings.table import (
    CONFIG,
    DENSE,
    GENERATION,
    LOGIT_SCORE,
    MODULES,
    NORMALIZE,
    POOLING,
    TABLE,
    TOKENS_OF_ANY_NAME,
    WHOLE_MODEL,
)
from build.sources.source import Unusable
from build.tasks.description import FamilyName, TaskDescription
from contracts.problems import Code, Problem
from contracts.tasks import Task

# Keys that other checks refuse: those that run code, at every depth; weights in fewer bits.
ELSEWHERE = {*RULES, "quantization_config"}
GENERATORS = (FamilyName.CAUSAL, FamilyName.SEQ2SEQ)
# The one family that a setting is refused for, where it is not every one: encoders alone read a whole text at once, and
# transformers' pipeline puts a prefix before prompts alone.
ONLY = {
    **dict.fromkeys(("is_decoder", "causal", "add_cross_attention"), FamilyName.ENCODER),
    "prefix": FamilyName.CAUSAL,
}


def refused(folder: Path, task: TaskDescription) -> list[Problem]:
    """Return a problem for every setting in the folder's files that would change answers and is not served."""
    return [
        _problem(name, setting, value)
        for name, tables in _files(folder, task)
        for document in _parsed(folder / name)
        for setting in (setting for table in tables for setting in TABLE[table])
        if setting.key not in ELSEWHERE
        and setting.refuses(value := document.get(setting.key))
        and _applies(setting, task)
    ]


def unknown(folder: Path, task: TaskDescription) -> tuple[str, ...]:
    """Return a note for each file with keys that the table does not have, so that nobody knows what they do here."""
    notes = []
    for name, tables in dict(_files(folder, task)).items():
        own = name.removeprefix(_model_folder(folder, task))
        known = {setting.key for table in (*tables, own) for setting in TABLE.get(table, ())}
        keys = [
            key
            for document in _parsed(folder / name)
            for key in document
            if key not in known and key not in ELSEWHERE and not _is_known(own, key)
        ]
        if keys:
            named = ", ".join(f"`{key}`" for key in dict.fromkeys(keys))
            are = "is a setting" if len(keys) == 1 else "are settings"
            notes.append(f"{name}: {named} {are} that nothing here reads, so check what it does")
    return tuple(notes)


def _parsed(path: Path) -> list[Mapping[str, Any]]:
    """Return the objects in a file; none where it cannot be parsed, which is left to the reader that needs it."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return [
        each for each in (found if isinstance(found, list) else [found]) if isinstance(each, dict)
    ]


def _files(folder: Path, task: TaskDescription) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the name of each file that counts for a task, and the names of its tables."""
    model = _model_folder(folder, task)
    for name in (CONFIG, "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json"):
        yield f"{model}{name}", (name,)
    if task.family in GENERATORS:
        # As in transformers, config.json says how a text is generated only where the other file is missing.
        yield (CONFIG if not (folder / GENERATION).is_file() else GENERATION), (GENERATION,)
    if task.graph.pooled or task.name is Task.TEXT_RANKING:
        yield from ((f"{model}{name}", SENTENCE_CONFIGS[:1]) for name in SENTENCE_CONFIGS)
        yield WHOLE_MODEL, (WHOLE_MODEL,)
        yield MODULES, (MODULES,)
        yield from ((f"{place}/config.json", (table,)) for place, table in _modules(folder))


def _model_folder(folder: Path, task: TaskDescription) -> str:
    """Return the path of the folder within that has the model without its pooling, "" for the folder itself.

    What modules.json is damaged by is left to the reader that needs it.
    """
    try:
        inner = inner_folder(folder, pooled=task.graph.pooled)
    except Unusable:
        inner = ""
    return f"{inner}/" if inner else ""


def _modules(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the folder of each module that has a config of its own, and the name of its table."""
    tables = {
        "Pooling": POOLING,
        "Dense": DENSE,
        "Normalize": NORMALIZE,
        "LogitScore": LOGIT_SCORE,
    }
    try:
        listed = json.loads((folder / MODULES).read_text("utf-8"))
        for module in listed:
            kind = str(module["type"]).rsplit(".", 1)[-1]
            if kind in tables:
                yield str(module["path"]), tables[kind]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return


def _applies(setting: Setting, task: TaskDescription) -> bool:
    return ONLY.get(setting.key, task.family) is task.family


def _is_known(name: str, key: str) -> bool:
    """Return whether a key is known although it is not in the table of its file.

    A special token of the model's own may have any name; older releases wrote the settings of generation into every
    config.json.
    """
    token = name in TOKENS_OF_ANY_NAME and key.endswith("_token")
    return token or (name == CONFIG and any(key == setting.key for setting in TABLE[GENERATION]))


def _problem(name: str, setting: Setting, value: Any) -> Problem:
    shown = json.dumps(value, ensure_ascii=False)[:MAX_SHOWN]
    message = f"`{setting.key}` = {shown} {setting.why}, which is not served; {setting.advice}"
    return Problem(code=Code.SETTING_UNSUPPORTED, where=name, message=message)
