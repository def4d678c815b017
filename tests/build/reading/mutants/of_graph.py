"""Folders in which a setting of config.json counts that decides what the exported graph computes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from build.sources.huggingface.settings.table import CONFIG
from contracts.tasks import Task
from tests.build.export.graph_settings import CASES as FLIPPED
from tests.build.export.graph_settings import Case as Flip
from tests.build.reading.decoders.models import CONTEXT, TEXTS, gemma3
from tests.build.reading.decoders.test_embedders import gemma3_embedder, qwen3_embedder
from tests.build.reading.mutants.case import Case
from tests.fixtures.models.tiny_bert import CPU


def decoder(task: Task, make: Callable[[Path], Path]) -> Case:
    """Return a case of a decoder, which reads more tokens than the tiny encoders do."""
    table = {"cpu": replace(CPU, max_tokens=CONTEXT)}
    return Case(task=task, make=make, rows=[{"text": text} for text in TEXTS], table=table)


# Keys whose cases have the value that the library takes in their absence, so that the other one shows a lost key.
DEFAULTED = (
    "norm_rel_ebd",
    "relative_attention",
    "share_att_key",
    "position_biased_input",
    "use_sliding_window",
    "scale_embedding",
    "decoder_bias",
    "tie_word_embeddings",
    "summary_proj_to_labels",
)


def encoder(key: str, flipped: Flip) -> Case:
    one = replace(flipped, value=flipped.other) if key in DEFAULTED else flipped
    return Case(task=one.task, make=one.make, rows=[{"text": text} for text in one.texts])


CASES: Mapping[str, Mapping[str, Case]] = {
    CONFIG: {
        "use_bidirectional_attention": decoder(Task.FEATURE_EXTRACTION, gemma3_embedder),
        "is_causal": decoder(
            Task.FEATURE_EXTRACTION, partial(qwen3_embedder, mode="mean_tokens", is_causal=False)
        ),
        "final_logit_softcapping": decoder(
            Task.TEXT_GENERATION, partial(gemma3, final_logit_softcapping=3.0)
        ),
        **{key: encoder(key, one) for key, one in FLIPPED.items()},
    }
}
