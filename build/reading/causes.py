"""The setting that is likely misread, by what differs first: the tokens, the other inputs, or the numbers alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from contracts.tasks import Task

LENGTH = (
    "the number of tokens that are read (`model_max_length` in tokenizer_config.json, `max_seq_length`, positions in "
    "config.json)"
)
SPECIAL = (
    "special tokens (`add_bos_token`, `add_eos_token` and post_processor of the tokenizer's files)"
)
TOKENIZER = "the tokenizer (`do_lower_case` and other keys of tokenizer_config.json, prompts, tokenizer.json)"
# The rows of one input of a model, by the input's name.
Fed = Mapping[str, Sequence[Sequence[int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row that is answered differently: the outputs, and what the model was fed for each of its texts."""

    task: Task
    ours: Sequence[Mapping[str, Any]]
    theirs: Sequence[Mapping[str, Any]]
    fed_ours: Sequence[Fed]
    fed_theirs: Sequence[Fed]

    @property
    def tokens(self) -> tuple[list[int], list[int]]:
        """Return the tokens of the first text that was fed differently, or of the first: ours and theirs."""
        ours = [list(fed["input_ids"][0]) for fed in self.fed_ours]
        theirs = [list(fed["input_ids"][0]) for fed in self.fed_theirs]
        pairs = list(zip(ours, theirs, strict=False)) or [([], [])]
        return next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])


def likely_cause(case: Case) -> str:
    """Return the likely setting, with the file that holds it."""
    return next(cause for rule in RULES if (cause := rule(case)))


def _windows(case: Case) -> str:
    if len(case.fed_ours) == len(case.fed_theirs):
        return ""
    return LENGTH


def _length(case: Case) -> str:
    ours, theirs = case.tokens
    if len(ours) == len(theirs):
        return ""
    inner, outer = sorted((ours, theirs), key=len)
    if len(outer) - len(inner) <= 2 and _within(inner, outer):
        return SPECIAL
    if inner[1:-1] == outer[1 : len(inner) - 1] or inner[1:-1] == outer[-len(inner) + 1 : -1]:
        return LENGTH
    return TOKENIZER


def _within(inner: Sequence[int], outer: Sequence[int]) -> bool:
    return any(outer[i : i + len(inner)] == inner for i in range(len(outer) - len(inner) + 1))


def _side(case: Case) -> str:
    """As many tokens of a truncated text, but others: another tokenizer would differ in a text that fits as well."""
    ours, theirs = (ids[1:-1] for ids in case.tokens)
    if ours == theirs or not any(output.get("truncated") for output in case.ours):
        return ""
    return "the side of truncation (`truncation_side` in tokenizer_config.json)"


def _ends(case: Case) -> str:
    ours, theirs = case.tokens
    return SPECIAL if ours != theirs and ours[1:-1] == theirs[1:-1] else ""


def _tokens(case: Case) -> str:
    ours, theirs = case.tokens
    return TOKENIZER if ours != theirs else ""


def _types(case: Case) -> str:
    """An input that the library leaves out is zero for it."""
    for ours, theirs in zip(case.fed_ours, case.fed_theirs, strict=False):
        one, other = (np.array(fed.get("token_type_ids", [[0]])) for fed in (ours, theirs))
        if one.any() != other.any() or (one.shape == other.shape and (one != other).any()):
            return "token types (`model_input_names` in tokenizer_config.json)"
    return ""


def _labels(case: Case) -> str:
    """The same scores under other labels."""
    if "top" not in case.ours[0] or "top" not in case.theirs[0]:
        return ""
    one, other = (
        np.array(sorted(each["score"] for each in o[0]["top"])) for o in (case.ours, case.theirs)
    )
    if one.shape == other.shape and np.abs(one - other).max() < 1e-3:
        return "the labels and their order (`id2label` in config.json)"
    return "config.json (`problem_type`, activations, positions), or the weights of the head"


def _vectors(case: Case) -> str:
    if case.task is not Task.FEATURE_EXTRACTION or "embedding" not in case.ours[0]:
        return ""
    one, other = (np.array(o[0]["embedding"]) for o in (case.ours, case.theirs))
    if one.shape == other.shape:
        cosine = one @ other / (np.linalg.norm(one) * np.linalg.norm(other) or 1)
        if cosine > 1 - 1e-6:
            return "the length of vectors (a Normalize module in modules.json)"
    return "pooling (1_Pooling/config.json, modules.json), or config.json"


def _generation(case: Case) -> str:
    """Along the same tokens both predict the same, so the model is read rightly."""
    if "differs_at" not in case.ours[0] or case.ours[0]["forced_differs"]:
        return ""
    return (
        "generation_config.json (the end of text, `repetition_penalty` and other keys that change greedy output, the "
        "number of new tokens, sampling)"
    )


def _config(case: Case) -> str:
    return (
        "config.json (`rope_parameters` and other positions, activations, scaling): the tokens are the same, and the "
        "numbers differ"
    )


# Tried in order; the first that speaks decides.
RULES: tuple[Callable[[Case], str], ...] = (
    _windows,
    _length,
    _side,
    _ends,
    _tokens,
    _types,
    _labels,
    _vectors,
    _generation,
    _config,
)
