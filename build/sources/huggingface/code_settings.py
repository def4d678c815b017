"""The settings in a model's folder that would have a library run code, or fetch something.

`problems` finds them in every JSON file that a library reads, at every depth, before any library is imported. The keys
are those of transformers 4.57 and 5.24 and of sentence-transformers 6.2; docs/security.md explains each.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.problems import Code, Problem

# Characters of a value that a message shows.
MAX_SHOWN = 80
# Files whose keys are words of a vocabulary, and one that grows with training: no library looks for settings in them.
VOCABULARIES = {
    "tokenizer.json", "vocab.json", "target_vocab.json", "added_tokens.json", "trainer_state.json",
}  # fmt: skip
# Objects whose keys are the user's own words.
OWN_WORDS = {"added_tokens_decoder", "id2label", "label2id", "prompts"}
SENTENCE_CONFIG = re.compile(r"sentence_[\w-]+_config\.json")
MODULE_FILES = {"modules.json", "router_config.json"}
# A module of sentence-transformers. Elsewhere in that package, a path may lead to any module that it imports.
MODULE = re.compile(r"sentence_transformers(\.[a-z]\w*)*\.[A-Z]\w*")
# Activations of torch by the path that sentence-transformers saves. Any other path is imported and called.
ACTIVATION = re.compile(r"torch\.nn\.(modules\.(activation|linear)\.)?[A-Z]\w*")
# Arguments that sentence-transformers hands on to transformers, and those of them that fetch nothing and run nothing.
HANDED_ON = {
    f"{kind}_{noun}"
    for kind in ("model", "tokenizer", "processor", "config")
    for noun in ("args", "kwargs")
}
HARMLESS_ARGUMENTS = {
    "add_bos_token",
    "add_eos_token",
    "add_pooling_layer",
    "attn_implementation",
    "do_lower_case",
    "dtype",
    "is_causal",
    "max_length",
    "model_max_length",
    "padding_side",
    "torch_dtype",
    "truncation_side",
    "trust_remote_code",
    "use_cache",
    "use_fast",
}
# A name that no path can be made of.
PLAIN_NAME = re.compile(r"\w[\w.-]*")
CUSTOM_GENERATE = Path("custom_generate/generate.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A key that is refused: `does` is what a library does by it, and `harmless` tells the values that it may have."""

    does: str
    harmless: Callable[[Any], bool]
    step: str = "take it out"
    code: Code = Code.CODE_REFUSED


def _one_of(*allowed: Any) -> Callable[[Any], bool]:
    """Return a test for null and the values; in an object, each value of a part of the model is tested."""

    def harmless(value: Any) -> bool:
        if isinstance(value, dict):
            return all(map(harmless, value.values()))
        return value is None or value in allowed

    return harmless


def _at_most(number: float) -> Callable[[Any], bool]:
    """Return a test for null and numbers that are not above the given one."""
    return lambda value: value is None or (isinstance(value, int | float) and value <= number)


def _names_only(file: str) -> Callable[[Any], bool]:
    return lambda value: not value or value in (file, [file])


def _is_activation(value: Any) -> bool:
    """Return whether it is null, a plain name or one of torch's activations."""
    if not isinstance(value, str):
        return value is None
    return "." not in value or bool(ACTIVATION.fullmatch(value))


def _is_template(value: Any) -> bool:
    """Return whether it is null, one template, or several with names that are no paths."""
    if isinstance(value, list):
        names = [one.get("name") if isinstance(one, dict) else one for one in value]
    else:
        names = list(value) if isinstance(value, dict) else []
    return all(isinstance(name, str) and PLAIN_NAME.fullmatch(name) for name in names)


NOTHING = _one_of(False, "", [], {})
ATTENTION = Rule(
    does="has a library fetch a kernel of that name from the Hub and run it",
    harmless=_one_of("eager", "sdpa"),
)
EXPERTS = Rule(does=ATTENTION.does, harmless=_one_of("eager", "batched_mm", "grouped_mm"))
KERNELS = Rule(does="has a library fetch kernels from the Hub and run them", harmless=NOTHING)
ACTIVATED = Rule(
    does="has a library import that path and call it",
    harmless=_is_activation,
    step="name one of torch.nn's activations",
)
DECODING = Rule(
    does="has transformers fetch the way in which it generates from the Hub and run it",
    harmless=NOTHING,
)
OTHER_FILE = "has a library read another file in place of the one that is checked and served"
RULES: Mapping[str, Rule] = {
    "auto_map": Rule(
        does="has a library run code of the folder or of a repository",
        harmless=NOTHING,
        step="take it out if transformers has the architecture itself, as a model that needs code of its own cannot be "
        "built",
    ),
    "trust_remote_code": Rule(does="allows a library to run code of a model", harmless=NOTHING),
    "code_revision": Rule(does="names the version of a model's own code", harmless=NOTHING),
    "custom_pipelines": Rule(does="has transformers run code of a repository", harmless=NOTHING),
    "attn_implementation": ATTENTION,
    "_attn_implementation": ATTENTION,
    "_attn_implementation_internal": ATTENTION,
    "experts_implementation": EXPERTS,
    "_experts_implementation": EXPERTS,
    "_experts_implementation_internal": EXPERTS,
    "use_kernels": KERNELS,
    "allow_all_kernels": KERNELS,
    "kernel_config": KERNELS,
    "backbone": Rule(does="has transformers fetch a part of the model", harmless=NOTHING),
    "custom_generate": DECODING,
    "constraints": DECODING,
    "force_words_ids": DECODING,
    "dola_layers": DECODING,
    "num_beam_groups": Rule(does=DECODING.does, harmless=_at_most(1)),
    "penalty_alpha": Rule(does=DECODING.does, harmless=_at_most(0)),
    "activation_fn": ACTIVATED,
    "activation_function": ACTIVATED,
    "sbert_ce_default_activation_function": ACTIVATED,
    "configuration_files": Rule(does=OTHER_FILE, harmless=_names_only("config.json")),
    "fast_tokenizer_files": Rule(does=OTHER_FILE, harmless=_names_only("tokenizer.json")),
    "transformers_weights": Rule(does=OTHER_FILE, harmless=NOTHING),
    "gguf_file": Rule(does=OTHER_FILE, harmless=NOTHING),
    "chat_template": Rule(
        does="has a name by which transformers writes the template outside of its folder",
        harmless=_is_template,
        step="give each template a name without a path",
        code=Code.FILE_OUTSIDE,
    ),
    "init_inputs": Rule(
        does="has transformers open files by these names, wherever they lie", harmless=NOTHING
    ),
}
TOKENIZER_NAME = Rule(
    does="has sentence-transformers fetch a tokenizer of that name", harmless=NOTHING
)
MODULE_TYPE = Rule(
    does="has sentence-transformers import code that is not its own",
    harmless=lambda value: isinstance(value, str) and bool(MODULE.fullmatch(value)),
    step="a model that needs code of its own cannot be built",
)
ARGUMENT = Rule(
    does="is handed on to transformers, which may load other files by it", harmless=NOTHING
)
METHOD = Rule(
    does="has sentence-transformers call that method of the model", harmless=_one_of("forward")
)


def problems(folder: Path) -> list[Problem]:
    """Return a problem for every setting of the folder's files that would run code or fetch something.

    A file that no one can parse is left to the reader that needs it: no library can parse it either.
    """
    found = [problem for path in _files(folder) for problem in _of_file(folder, path)]
    if (folder / CUSTOM_GENERATE).is_file():
        message = f"is code by which transformers would generate; {DECODING.step}"
        found.append(Problem(code=Code.CODE_REFUSED, where=str(CUSTOM_GENERATE), message=message))
    return found


def _files(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.rglob("*.json"))
        if path.name not in VOCABULARIES and not path.name.endswith(".index.json")
    ]


def _of_file(folder: Path, path: Path) -> Iterator[Problem]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return
    for keys, value in _settings(document):
        rule = _rule(path.name, keys)
        if rule and not rule.harmless(value):
            shown = json.dumps(value, ensure_ascii=False)
            shown = shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]} …"
            message = f"`{'.'.join(keys)}` = {shown} {rule.does}; {rule.step}"
            where = path.relative_to(folder).as_posix()
            yield Problem(code=rule.code, where=where, message=message)


def _settings(document: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every key of the document's objects, with those that lead to it, and its value."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), document)]
    while waiting:
        keys, value = waiting.pop(0)
        if isinstance(value, dict):
            inner = [((*keys, key), each) for key, each in value.items()]
            yield from inner
            waiting += [(path, each) for path, each in inner if path[-1] not in OWN_WORDS]
        elif isinstance(value, list):
            waiting += [((*keys, str(i)), each) for i, each in enumerate(value)]


def _rule(file: str, keys: tuple[str, ...]) -> Rule | None:
    """Return the rule for a key, which in the files of sentence-transformers depends on where it stands."""
    parent = keys[-2] if len(keys) > 1 else ""
    if file in MODULE_FILES and (keys[-1] == "type" or parent == "types"):
        return MODULE_TYPE
    if SENTENCE_CONFIG.fullmatch(file):
        if parent in HANDED_ON and keys[-1] not in HARMLESS_ARGUMENTS:
            return ARGUMENT
        if keys[-1] == "tokenizer_name_or_path":
            return TOKENIZER_NAME
        if keys[0] == "modality_config" and keys[-1] == "method":
            return METHOD
    return RULES.get(keys[-1])
