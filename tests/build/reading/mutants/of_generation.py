"""Folders in which a setting of generation counts: a tiny Llama, and a tiny T5 for what speaks of an encoder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.tasks import Task
from tests.build.reading.mutants.case import Case, edit
from tests.fixtures.models.tiny_decoders import PROMPTS, llama, t5
from tests.functions.inference.test_generation_settings import GREEDY, beside_of

GENERATION, CONFIG = "generation_config.json", "config.json"
ROWS = [{"text": prompt} for prompt in PROMPTS]
# Values that restrict what is sampled.
SAMPLED: Mapping[str, Any] = {
    "do_sample": True,
    "temperature": 3.0,
    "top_k": 4,
    "top_p": 0.3,
    "top_h": 0.3,
    "min_p": 0.4,
    "typical_p": 0.3,
    "epsilon_cutoff": 0.05,
    "eta_cutoff": 0.5,
}
TOKENS: Mapping[str, Any] = {
    "eos_token_id": 1,
    "bos_token_id": 7,
    "decoder_start_token_id": 7,
}
# The keys that count only where texts end early, and what makes the end likely.
ENDED = ("eos_token_id", "min_length", "min_new_tokens")
ENDING: Mapping[str, Any] = {"exponential_decay_length_penalty": [1, 6.0]}
# What speaks of an encoder, or of the token that its decoder starts from.
OF_T5 = (
    "encoder_repetition_penalty",
    "encoder_no_repeat_ngram_size",
    "forced_bos_token_id",
    "decoder_start_token_id",
    "bos_token_id",
)


def case(key: str, value: Any, file: str = GENERATION) -> Case:
    """Return a generator that has a key in one of its files, beside what the key needs to count."""

    def make(place: Path) -> Path:
        folder = t5(place) if key in OF_T5 else llama(place)
        beside = ENDING if key in ENDED else beside_of(key, folder)
        settings = {**beside, key: value}
        if key in SAMPLED:
            settings["do_sample"] = True
        if key == "bos_token_id":  # which counts only where no other token starts a text
            edit(folder / GENERATION, decoder_start_token_id=None)
            edit(folder / CONFIG, decoder_start_token_id=None)
        if file == CONFIG:
            (folder / GENERATION).unlink()
        edit(folder / file, **settings)
        return folder

    task = Task.TEXT2TEXT_GENERATION if key in OF_T5 else Task.TEXT_GENERATION
    return Case(task=task, make=make, rows=ROWS)


CASES: Mapping[str, Mapping[str, Case]] = {
    GENERATION: {key: case(key, value) for key, value in {**GREEDY, **SAMPLED, **TOKENS}.items()},
    CONFIG: {
        key: case(key, {**GREEDY, **TOKENS}[key], CONFIG)
        for key in (*TOKENS, "forced_bos_token_id", "forced_eos_token_id")
    },
}
