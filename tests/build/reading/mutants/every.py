"""The mutants of settings: for each honoured key of the table one that does not see it, with a case that shows it."""

from collections import defaultdict
from collections.abc import Mapping

from build.sources.huggingface.settings.setting import GRAPH, Effect
from build.sources.huggingface.settings.table import TABLE, settings_of
from tests.build.reading.mutants import (
    of_config,
    of_encoder_decoders,
    of_generation,
    of_graph,
    of_sentences,
    of_tokenizer,
)
from tests.build.reading.mutants.case import Case

TABLES = (of_config, of_encoder_decoders, of_generation, of_graph, of_sentences, of_tokenizer)


def cases() -> Mapping[str, Mapping[str, Case]]:
    """Return the cases by file and key, of all tables together."""
    found: dict[str, dict[str, Case]] = defaultdict(dict)
    for table in TABLES:
        for file, of_file in table.CASES.items():
            found[file].update(of_file)
    return found


CASES = cases()
# Every mutant, by the name of its file and its key.
MUTANTS = [
    (file, setting.key)
    for file, settings in TABLE.items()
    for setting in settings
    if setting.effect is Effect.HONOURED and setting.key in CASES[file]
]
# What no case shows yet.
UNTRIED = [
    (file, setting.key)
    for file, settings in TABLE.items()
    for setting in settings
    if setting.effect is Effect.HONOURED and setting.key not in CASES[file]
]
# Mutants that no build stops, with the reason.
SURVIVORS: Mapping[tuple[str, str], str] = {
    ("config.json", "decoder_bias"): "without it the library makes a bias of zeros, which is none",
    ("config.json", "tie_word_embeddings"): "the library keeps both tables where a file has both",
    ("config.json", "key_query_shared_bottleneck"): "not shown by its case yet",
}
# Keys that have no mutant yet, with the reason.
WITHOUT: Mapping[tuple[str, str], str] = {}


def is_of_graph(file: str, key: str) -> bool:
    """Return whether a key is read by the library that exports the graph, and not by our own code."""
    return settings_of(file)[key].read_by == GRAPH
