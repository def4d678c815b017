"""The settings of a model that generates text: start and end tokens, length limits, and its own wishes for requests."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from build.sources.huggingface.config import FILE, MAX_SHOWN, is_whole, optional_json
from build.sources.huggingface.folder_files import FolderFiles
from build.sources.source import Unusable
from contracts.problems import Code, Problem
from functions.inference.beam_search import BEAMS
from functions.inference.beam_search import KEYS as OF_BEAMS

GENERATION_CONFIG = "generation_config.json"
# The most new tokens that a request may ask for; how many it gets by default is in contracts/api/text_generation.py.
NEW_TOKENS_LIMIT = 512
# transformers samples from so many tokens where a file turns sampling on and names no other number.
TOP_K = 50


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _positive(value: Any) -> bool:
    return _number(value) and value > 0


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _count(value: Any) -> bool:
    return is_whole(value) and value >= 0


def _tokens(value: Any) -> bool:
    return isinstance(value, list) and all(map(_count, value))


def _token_or_tokens(value: Any) -> bool:
    return _count(value) or (_tokens(value) and bool(value))


def _words(value: Any) -> bool:
    return isinstance(value, list) and all(_tokens(word) and word for word in value)


def _biases(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and _words([pair[0]]) and _number(pair[1])
        for pair in value
    )


def _decay(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _count(value[0]) and _number(value[1])


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


# The values that each key may have, in words and as a check. `functions.inference` does what the keys say.
WISHES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "max_new_tokens": ("a whole number", _count),
    "max_length": ("a whole number", _count),
    "do_sample": ("true or false", _flag),
    # 0 stands for greedy decoding in some files; transformers refuses to sample with it.
    "temperature": ("a number from 0 up", lambda value: _number(value) and value >= 0),
    "top_k": ("a whole number", _count),
    "top_p": ("a number from 0 to 1", _share),
    "top_h": ("a number from 0 to 1", _share),
    "min_p": ("a number from 0 to 1", _share),
    "typical_p": ("a number from 0 to 1", _share),
    "epsilon_cutoff": ("a number from 0 to 1", _share),
    "eta_cutoff": ("a number from 0 to 1", _share),
    "sequence_bias": ("a list of pairs, each of token ids and a number", _biases),
    "encoder_repetition_penalty": ("a number above 0", _positive),
    "repetition_penalty": ("a number above 0", _positive),
    "no_repeat_ngram_size": ("a whole number", _count),
    "encoder_no_repeat_ngram_size": ("a whole number", _count),
    "bad_words_ids": ("a list of lists of token ids", _words),
    "min_length": ("a whole number", _count),
    "min_new_tokens": ("a whole number", _count),
    "forced_bos_token_id": ("a token id", _count),
    "forced_eos_token_id": ("a token id, or several", _token_or_tokens),
    "exponential_decay_length_penalty": ("a number of tokens and a factor", _decay),
    "suppress_tokens": ("a list of token ids", _tokens),
    "begin_suppress_tokens": ("a list of token ids", _tokens),
    "num_beams": ("a whole number from 1 up", lambda value: _count(value) and value >= 1),
    "length_penalty": ("a number", _number),
    "early_stopping": ('true, false or "never"', lambda value: _flag(value) or value == "never"),
    "renormalize_logits": ("true or false", _flag),
}
TOKENS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "eos_token_id": ("a token id, or several", _token_or_tokens),
    "bos_token_id": ("a token id", _count),
    "decoder_start_token_id": ("a token id", _count),
}
# Values that change nothing. A model with such a value is the same artefact as one without the key.
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "do_sample": (False,),
    "temperature": (0, 1),
    "top_k": (0,),
    "top_p": (1,),
    "typical_p": (1,),
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "encoder_repetition_penalty": (1,),
    "repetition_penalty": (1,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "bad_words_ids": ([],),
    "sequence_bias": ([],),
    "suppress_tokens": ([],),
    "begin_suppress_tokens": ([],),
    "num_beams": (1,),
    "length_penalty": (1,),
    "early_stopping": (False,),
    "renormalize_logits": (False,),
}
# What a config.json leaves out and its class has by default, where no other file says how text is generated.
# https://github.com/huggingface/transformers/tree/v5.24.0/src/transformers/models (`configuration_*.py`)
DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "bart": {
        "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2,
    },
    "gpt2": {"bos_token_id": 50256, "eos_token_id": 50256},
    "llama": {"bos_token_id": 1, "eos_token_id": 2},
    "marian": {"eos_token_id": 0, "decoder_start_token_id": 58100, "forced_eos_token_id": 0},
    "mistral": {"bos_token_id": 1, "eos_token_id": 2},
    "mt5": {"eos_token_id": 1, "decoder_start_token_id": 0},
    "t5": {"eos_token_id": 1},
}  # fmt: skip
# Of the encoder's text, which a causal model does not have.
OF_ENCODER = {"encoder_repetition_penalty", "encoder_no_repeat_ngram_size"}


def read_generation(files: FolderFiles) -> tuple[str, Mapping[str, Any]]:
    """Return the file that says how text is generated, and what is in it.

    As in transformers, that is generation_config.json alone, and config.json only where there is no such file.
    """
    path = files.folder / GENERATION_CONFIG
    if path.is_file():
        return path.name, optional_json(path)
    return FILE, {**DEFAULTS.get(str(files.config.get("model_type")), {}), **files.config}


def details(files: FolderFiles, context: int) -> dict[str, Any]:
    """Return a generator's details for the manifest: `functions.inference.generation.GenerationConfig`.

    `context` is the largest number of tokens it reads, prompt and generated tokens together. Raise Unusable with a
    problem for each key whose value is of another kind.
    """
    name, found = read_generation(files)
    generation = {key: value for key, value in found.items() if value is not None}
    if problems := _problems(name, generation):
        raise Unusable.listing(problems)
    encoder = bool(files.config.get("is_encoder_decoder"))
    ends = generation.get("eos_token_id", [])
    ends = ends if isinstance(ends, list) else [ends]
    start = _start(generation, ends, encoder=encoder)
    made: dict[str, Any] = {
        "context": context,
        "start_token_id": start,
        "eos_token_ids": ends,
        "max_new_tokens": new_tokens(context),
    }
    if wishes := _wishes(generation, encoder=encoder):
        made["generation_config"] = wishes
    if _cleans_up(files):
        made["clean_up"] = True
    return made


def _cleans_up(files: FolderFiles) -> bool:
    """Return whether spaces before punctuation are taken out: of a byte-pair tokenizer's texts they never are."""
    wanted = files.tokenizer_config.get("clean_up_tokenization_spaces", False)
    return bool(wanted) and files.tokenizer.model != "BPE"


def _problems(name: str, generation: Mapping[str, Any]) -> list[Problem]:
    found = [
        Problem(
            code=Code.FILE_DAMAGED,
            message=f"{name} has {str(generation[key])[:MAX_SHOWN]!r} as `{key}`, where {words} has to be; correct it",
        )
        for key, (words, allows) in {**WISHES, **TOKENS}.items()
        if key in generation and not allows(generation[key])
    ]
    if generation.get("do_sample") is True and generation.get(BEAMS, 1) != 1:
        message = (
            f"{name} has both `do_sample` and `{BEAMS}`, by which beams are sampled, which is not served; set "
            f"`do_sample` to false, or `{BEAMS}` to 1"
        )
        found.append(Problem(code=Code.SETTING_UNSUPPORTED, message=message))
    return found


def _start(generation: Mapping[str, Any], ends: list[int], *, encoder: bool) -> int:
    """Return the token that an output (or an empty prompt) begins with."""
    # As in transformers, a decoder without a start token of its own begins with that of every text.
    keys = ("decoder_start_token_id", "bos_token_id") if encoder else ("bos_token_id",)
    named = [generation[key] for key in keys if key in generation]
    return int((*named, *ends, 0)[0])


def _wishes(generation: Mapping[str, Any], *, encoder: bool) -> dict[str, Any]:
    """Return the keys that a request is answered by where it does not say otherwise, without those that do nothing."""
    wishes = {
        key: generation[key]
        for key in WISHES
        if key in generation
        and generation[key] not in NEUTRAL.get(key, ())
        and (encoder or key not in OF_ENCODER)
    }
    if wishes.get("do_sample") and "top_k" not in generation:
        wishes["top_k"] = TOP_K
    unread = () if BEAMS in wishes else OF_BEAMS
    return {key: value for key, value in wishes.items() if key not in unread}


def new_tokens(context: int) -> int:
    """Return the largest number of tokens to generate: half of the context at most, so that a prompt has room."""
    return min(NEW_TOKENS_LIMIT, context // 2)
