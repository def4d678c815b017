"""The prompts of embedders and cross-encoders: texts with names, of which one is put before what a request sends.

As in sentence-transformers, a request names one by `prompt_name`, and without it the model's default prompt applies.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from contracts.api.json_schema import choice
from contracts.api.task_api import PROMPT_NAME, Parameter

# The keys of a manifest's details, and of config_sentence_transformers.json.
PROMPTS, DEFAULT = "prompts", "default_prompt_name"
# SentenceTransformer has these for every model, empty unless its config says otherwise; CrossEncoder has none.
OF_EMBEDDERS: Mapping[str, str] = {"query": "", "document": ""}
NONE: Mapping[str, str] = {}


def prompts_of(details: Mapping[str, Any], always: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each prompt: those that every model of the class has, and the model's own."""
    return {**always, **details.get(PROMPTS, NONE)}


def parameters_of(details: Mapping[str, Any], always: Mapping[str, str]) -> list[Parameter]:
    """Return the parameter with the names that a model has; none for a model without prompts."""
    names = prompts_of(details, always)
    return [replace(PROMPT_NAME, schema=choice(*names), expected="")] if names else []


def prompt_of(
    parameters: Mapping[str, Any], details: Mapping[str, Any], always: Mapping[str, str]
) -> str:
    """Return the prompt of a request: the one that it names, or else the model's default; "" if there is neither.

    Raise KeyError for a name that there is not, which the check of the parameters has refused before.
    """
    name = PROMPT_NAME.value(parameters)
    if name is None:
        name = details.get(DEFAULT)
    return "" if name is None else prompts_of(details, always)[name]
