"""The prompts that sentence-transformers saves with an embedder or a cross-encoder, for their tasks.

https://sbert.net/docs/package_reference/sentence_transformer/SentenceTransformer.html
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import shorten
from typing import Any

from build.evaluation.jsonlines import RowProblem
from build.evaluation.rows import Row
from build.tasks.description import Details, ModelFacts
from contracts.api.task_api import PROMPT_NAME
from contracts.problems import Code, Problem
from functions.inference.tasks.prompts import NONE, OF_EMBEDDERS, prompts_of

FILE = "config_sentence_transformers.json"
# The classes that load a model, by the names that configs have for them, and the prompts of each class.
EMBEDDER, CROSS_ENCODER = "SentenceTransformer", "CrossEncoder"
ALWAYS: Mapping[str, Mapping[str, str]] = {EMBEDDER: OF_EMBEDDERS, CROSS_ENCODER: NONE}
# Some models have a prompt for each task of a benchmark.
MAX_PROMPTS = 256
MAX_NAME_CHARS = 100
# A prompt is read with every text of a request. Long ones have examples in them.
MAX_PROMPT_CHARS = 8_000
# Characters of a value, and of a list of names, that a message shows.
MAX_SHOWN, MAX_NAMES_SHOWN = 80, 1_000


def details(facts: ModelFacts, loaded_by: str) -> dict[str, Any]:
    """Return the prompts of a config that `problems` finds nothing in, and the name of the default one."""
    prompts, default = _settings(facts, loaded_by)
    # sentence-transformers takes null for an empty text.
    texts = {name: text or "" for name, text in prompts.items()}
    return {
        **({"prompts": texts} if texts else {}),
        **({} if default is None else {"default_prompt_name": default}),
    }


def problems(facts: ModelFacts, loaded_by: str) -> list[Problem]:
    """Return every problem of the prompts of a model that a class of sentence-transformers loads."""
    prompts, default = _settings(facts, loaded_by)
    if not isinstance(prompts, dict):
        message = (
            f"`prompts` is {_shown(prompts)}, not an object of texts by their names; take it out"
        )
        return [_problem(message)]
    found = list(_of_prompts(prompts))
    if default is not None and default not in (names := [*ALWAYS[loaded_by], *prompts]):
        message = (
            f"`default_prompt_name` is {_shown(default)}, but the prompts are {_listed(names)}; name one of them, or "
            "set it to null"
        )
        found.append(_problem(message))
    return found


def _settings(facts: ModelFacts, loaded_by: str) -> tuple[Any, Any]:
    """Return the prompts and the default's name, which a class reads from a folder of its own kind alone."""
    settings = facts.sentence_transformers
    if settings.get("model_type", EMBEDDER) != loaded_by:
        return {}, None
    return settings.get("prompts", {}), settings.get("default_prompt_name")


def _of_prompts(prompts: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for too many prompts, or else for each that is not served."""
    if len(prompts) > MAX_PROMPTS:
        message = f"`prompts` has {len(prompts)} prompts, and at most {MAX_PROMPTS} are served; take out the others"
        yield _problem(message)
        return
    for name, text in prompts.items():
        if reason := _reason(name, text):
            yield _problem(f"the prompt {_shown(name)} of `prompts` {reason}")


def _reason(name: str, text: object) -> str:
    """Return the reason not to serve a prompt, "" if there is none."""
    if not 0 < len(name) <= MAX_NAME_CHARS:
        return f"has a name of {len(name)} characters; give it one of 1 to {MAX_NAME_CHARS}"
    if text is not None and not isinstance(text, str):
        return f"is {_shown(text)}; write a text"
    if len(text or "") > MAX_PROMPT_CHARS:
        return f"has {len(text or '')} characters; cut it to {MAX_PROMPT_CHARS}"
    if any("\ud800" <= character <= "\udfff" for character in f"{name}{text}"):
        return "holds half a surrogate pair, which no UTF-8 text can; remove it"
    return ""


def _problem(message: str) -> Problem:
    return Problem(code=Code.SETTING_INVALID, where=FILE, message=message)


def _shown(value: object) -> str:
    return shorten(repr(value), MAX_SHOWN)


def _listed(names: Iterable[str]) -> str:
    return shorten(", ".join(map(repr, names)), MAX_NAMES_SHOWN) or "none"


def prompt_field(row: dict[str, Any]) -> dict[str, str]:
    """Return the parameter of a row that names a prompt, none if it does not; raise RowProblem unless it is a text."""
    if PROMPT_NAME.name not in row:
        return {}
    name = row[PROMPT_NAME.name]
    if not isinstance(name, str):
        raise RowProblem(f'"{PROMPT_NAME.name}" is {_shown(name)}; it has to be a text')
    return {PROMPT_NAME.name: name}


def unfit(rows: Sequence[Row], of_model: Details, loaded_by: str) -> list[Problem]:
    """Return a problem for the names in the rows that the model has no prompt of."""
    known = prompts_of(of_model, ALWAYS[loaded_by])
    named = [row.request.parameters.get(PROMPT_NAME.name) for row in rows]
    unknown = {name: named.count(name) for name in named if name is not None and name not in known}
    if not unknown:
        return []
    message = (
        f'"{PROMPT_NAME.name}" of {sum(unknown.values())} rows is {_listed(unknown)}, but the prompts of the model '
        f"are {_listed(known)}; name one of them, or leave it out"
    )
    return [Problem(code=Code.ROWS_INVALID, message=message)]
