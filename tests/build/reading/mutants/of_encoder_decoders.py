"""Folders in which a setting of a search counts, on a tiny BART, and one of two vocabularies, on a tiny Marian."""

from collections.abc import Mapping
from functools import partial

from build.samples.texts import sample_texts
from contracts.tasks import Task
from tests.build.reading.mutants.case import Case, settled
from tests.fixtures.models.encoder_decoders.bart import SEARCH, bart
from tests.fixtures.models.encoder_decoders.marian import marian
from tests.fixtures.models.tiny_decoders import LINES, PROMPTS

GENERATION = "generation_config.json"
ROWS = [{"text": text} for text in (*LINES, *PROMPTS, "it is late", " ".join(LINES * 4))]
SEARCHING = Case(
    task=Task.TEXT2TEXT_GENERATION, make=settled(bart, GENERATION, **SEARCH), rows=ROWS
)
# A bias that takes most of the probability with it counts for less once the rest is normalised again.
NORMALISED = Case(
    task=Task.TEXT2TEXT_GENERATION,
    make=settled(bart, GENERATION, **SEARCH, renormalize_logits=True),
    rows=ROWS,
)
TRANSLATING = Case(
    task=Task.TEXT2TEXT_GENERATION,
    make=partial(marian, separate=True),
    rows=[{"text": each.text} for each in sample_texts()[::20]],
)

CASES: Mapping[str, Mapping[str, Case]] = {
    GENERATION: {
        **dict.fromkeys(("num_beams", "length_penalty", "early_stopping"), SEARCHING),
        "renormalize_logits": NORMALISED,
    },
    "config.json": {
        "share_encoder_decoder_embeddings": TRANSLATING,
        "decoder_vocab_size": TRANSLATING,
    },
    "tokenizer_config.json": {"separate_vocabs": TRANSLATING},
}
