"""Models that score texts: n-grams, recurrent networks and causal transformers, without a cache.

Every candidate is one graph from tokens to their log-probabilities, so no array as wide as the vocabulary leaves it.
The reference of a folder is transformers; that of a bare graph or an ARPA file runs apart from the candidates' graph,
and its log-probabilities are computed here, in float64.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from build.errors import SourceError
from build.evaluation.metrics import AllOutputs
from build.export.exporters import keep_record
from build.export.fusion import PLAIN, plain
from build.export.generator import finish
from build.export.to_onnx import export
from build.families import ngram_model, request_lengths
from build.families.family import Family, Rows, requests_as_given
from build.families.ngram_graph import use_codebooks
from build.families.reference import forward_of
from build.graph.edit import make_model
from build.reading.outputs import Reference, run_library
from build.recipes.dynamic_int8 import quantize
from build.recipes.embedding_tables import quantize_tables
from build.recipes.recipe import PREQUANTIZED, NamedRecipe, WeightFormat
from build.recipes.weight_only import weight_only
from build.sources.formats import ONNX
from build.sources.gguf.source import library_folder, unpack_source, unpacked
from build.sources.source import (
    GgufSource,
    GraphSource,
    Source,
    TableSource,
    TransformersSource,
)
from build.workspace.progress import Notify, counted, silent
from build.workspace.quiet import quiet
from contracts.manifest import MODEL, TOKENIZER
from contracts.prediction import PredictRequest
from contracts.problems import Code, Problem
from contracts.tasks import Tier
from functions.inference.prompt.tokens import plain_tokenizer
from functions.inference.runtimes.open_graph import Forward
from functions.inference.scoring import Scorer
from functions.inference.session import open_session
from functions.inference.token_batches import Feeds

FULL = NamedRecipe(name="fp32")
CODES = NamedRecipe(name="8-bit values", precision="int8")
DYNAMIC = NamedRecipe(name="int8", precision="int8", batchable=False)
WEIGHTS = NamedRecipe(name="int8 weights", precision="int8")
# Operators that are quantized dynamically; ONNX Runtime has no such kernel for a GRU.
PRODUCTS = ("MatMul", "LSTM")
# Rows that sum to 1 within this are taken for probabilities.
NEAR_ONE = 1e-3


def prepare(source: Source, folder: Path, notify: Notify) -> None:
    """Write the graph, which ends in log-probabilities, and the tokenizer."""
    if isinstance(source, TableSource):
        ngram_model.prepare(source.path, folder / PLAIN, folder / TOKENIZER)
        return
    if isinstance(source, GgufSource):
        unpack_source(source, folder, notify)
    given = unpacked(source, folder)
    exported = export(given, folder / "exported")
    plain(given, exported, folder / PLAIN)
    keep_record(exported.parent, folder)
    shutil.rmtree(folder / "exported")
    shutil.copyfile(given.tokenizer, folder / TOKENIZER)


def recipes(source: Source, tier: Tier, quantize: bool) -> Sequence[NamedRecipe]:
    if isinstance(source, GraphSource) and source.quantized:
        return (PREQUANTIZED,)
    if tier is Tier.GPU or not quantize:
        return (FULL,)
    return (FULL, CODES) if isinstance(source, TableSource) else (FULL, DYNAMIC, WEIGHTS)


def make(recipe: NamedRecipe, source: Source, prepared: Path, rows: Rows, folder: Path) -> None:
    shutil.copyfile(prepared / TOKENIZER, folder / TOKENIZER)
    if isinstance(source, TableSource):
        model = onnx.load(prepared / PLAIN)
        if recipe == CODES:
            use_codebooks(model.graph)
        onnx.save(model, folder / MODEL)
        return
    changes = {DYNAMIC: (_dynamic,), WEIGHTS: (weight_only(WeightFormat.INT8),)}
    finish(prepared, folder, *changes.get(recipe, ()))
    (folder / PLAIN).rename(folder / MODEL)


def _dynamic(graph: Any) -> None:
    """Quantize matrix products and embedding tables to int8, in place."""
    quantize_tables(graph)
    quantized = quantize(make_model(graph), PRODUCTS, per_channel=True)
    graph.CopyFrom(quantized.graph)


def requests(source: Source, rows: Rows, reference: AllOutputs) -> dict[int, PredictRequest]:
    """Return requests to time, by length: joined rows, or single ones if the tokenizer is made by the build itself."""
    if isinstance(source, TableSource | GgufSource):
        return requests_as_given(source, rows, reference)
    return request_lengths.requests(source, rows, reference)


def reference(source: Source, rows: Rows, prepared: Path, notify: Notify = silent) -> Reference:
    """Return the reference of the rows; raise SourceError if its outputs are not those of a language model."""
    own = source.tokenizer if isinstance(source, TransformersSource) else None
    tokenizer = plain_tokenizer(own or prepared / TOKENIZER)
    texts = [tokenizer.encode(str(row.request.inputs[0])).ids for row in rows]
    if all(len(ids) < 2 for ids in texts):  # the first token is context, and has no score
        message = "no row has two tokens, so there is nothing to score; give longer rows"
        raise SourceError([Problem(code=Code.ROWS_INVALID, message=message)])
    if given := library_folder(source, prepared):
        return run_library(given, rows, notify)
    assert isinstance(source, GraphSource | TableSource)
    scorer = Scorer(
        tokenizer=tokenizer,
        forward=reference_forward(source, prepared, texts),
        input_names=source.inputs if isinstance(source, GraphSource) else ("input_ids",),
        max_tokens=source.max_tokens,
    )
    with quiet():
        return Reference(outputs=[scorer.outputs(row.request) for row in counted(rows, notify)])


def reference_forward(
    source: GraphSource | TableSource, prepared: Path, texts: Sequence[Sequence[int]]
) -> Forward:
    """Return the reference's forward pass, from tokens to log-probabilities [1, tokens - 1] as of the graph."""
    if isinstance(source, TableSource):
        return _recursion(source, prepared, texts)
    # The prepared graph ends in log-probabilities, so an ONNX source is run as the user gave it.
    logits_of = _session(source) if source.kind == ONNX else forward_of(source, prepared / PLAIN)[0]
    return lambda feeds: _log_probabilities(source, logits_of(feeds), feeds["input_ids"])


def _recursion(source: TableSource, prepared: Path, texts: Sequence[Sequence[int]]) -> Forward:
    words = [word for word, _ in sorted(_vocabulary(prepared).items(), key=lambda pair: pair[1])]
    scores = ngram_model.recursion(source.path, [tuple(words[i] for i in ids) for ids in texts])
    return lambda feeds: np.array([scores(tuple(words[i] for i in feeds["input_ids"][0]))])


def _vocabulary(prepared: Path) -> dict[str, int]:
    vocabulary: dict[str, int] = plain_tokenizer(prepared / TOKENIZER).get_vocab()
    return vocabulary


def _session(source: GraphSource) -> Forward:
    """Return the forward pass of the graph as the user gave it; its inputs may have any names."""
    session = open_session(source.path, threads=os.cpu_count() or 1, device="cpu")
    nodes, output = session.get_inputs(), session.get_outputs()[0].name
    kinds = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}

    def logits(feeds: Feeds) -> Any:
        inputs = {
            node.name: feeds[name].astype(kinds[node.type])
            for node, name in zip(nodes, source.inputs, strict=True)
        }
        return session.run([output], inputs)[0]

    return logits


def _log_probabilities(
    source: GraphSource, logits: NDArray[np.floating[Any]], ids: NDArray[np.int64]
) -> Any:
    """Return the log-probability of each token but the first; raises SourceError for outputs that are not logits."""
    if logits.ndim != 3 or logits.shape[:2] != ids.shape:
        raise SourceError.about(
            source.path,
            Code.OUTPUTS_UNSUPPORTED,
            f"its output is {list(logits.shape)} for tokens {list(ids.shape)}, not logits [batch, tokens, vocabulary]; "
            "transpose its output where it is saved",
        )
    wide = logits[0, :-1].astype(np.float64)
    # Probabilities would pass for logits, and every score would be wrong without an error.
    if (wide >= 0).all() and (np.abs(wide.sum(axis=-1) - 1) < NEAR_ONE).all():
        raise SourceError.about(
            source.path,
            Code.OUTPUTS_UNSUPPORTED,
            "its output is probabilities; save it without its softmax, or with log_softmax",
        )
    # Log-sum-exp behind the highest logit, so that no exponential overflows.
    highest = wide.max(axis=-1, keepdims=True)
    totals = np.log(np.exp(wide - highest).sum(axis=-1)) + highest[:, 0]
    return (wide[np.arange(len(wide)), ids[0, 1:]] - totals)[None]


FAMILY = Family(prepare=prepare, reference=reference, recipes=recipes, make=make, requests=requests)
