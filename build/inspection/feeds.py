"""The inputs of each graph of an artefact for the golden rows, by the task."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from build.errors import LayersNotComparable
from build.evaluation.teacher_forcing import forced_tokens_of
from build.exported_graphs import GraphPair
from build.families.reference import feeds_of
from build.proof.golden import GoldenRow
from build.sources.gguf.source import folder_of
from build.sources.source import GgufSource, GraphSource, Source, TransformersSource
from build.tasks.description import FamilyName
from contracts.manifest import CHAT, TOKENIZER, read_manifest
from functions.inference.decoder import LAST_INDEX, PAST, TOTAL
from functions.inference.prompt.template import ChatTemplate, encoded
from functions.inference.prompt.tokens import plain_tokenizer, truncate_prompt
from functions.inference.session import open_session

Feed = Mapping[str, Any]
Rows = Sequence[GoldenRow]


def feeds_for(
    pair: GraphPair, pairs: Sequence[GraphPair], source: Source, golden: Rows, graph: Any
) -> Iterator[Feed]:
    """Return the inputs for each text of the golden rows; raise LayersNotComparable for a task without a rule here."""
    family = source.task.family
    if isinstance(source, TransformersSource | GraphSource) and family is FamilyName.ENCODER:
        return iter(feeds_of(source, [row.request for row in golden]))
    if isinstance(source, TransformersSource | GgufSource):
        tokenizer = plain_tokenizer(folder_of(source, pair.exported.parent) / TOKENIZER)
        if family is FamilyName.CAUSAL:
            return _generator_inputs(pair, tokenizer, source.details, golden, graph)
        if family is FamilyName.SEQ2SEQ:
            return _encoder_decoder_inputs(pair, pairs, tokenizer, source.details, golden, graph)
    raise LayersNotComparable(
        f"the layers of a model for {source.task.name} cannot be compared: its golden rows are not fed to a graph "
        "tensor by tensor; leave out --layers"
    )


def _generator_inputs(
    pair: GraphPair, tokenizer: Any, details: Mapping[str, Any], golden: Rows, graph: Any
) -> Iterator[Feed]:
    """Yield each prompt with the tokens generated after it, for one pass with an empty KV cache."""
    folder = pair.built.parent
    template = ChatTemplate.open(folder, read_manifest(folder)) if CHAT in details else None
    for row in golden:
        continuation = list(forced_tokens_of(row.reference) or ())
        encoding = encoded(tokenizer, row.request.inputs[0], template)
        # The prompt is truncated further than for a request, so that the tokens after it fit the context as well.
        ids, _ = truncate_prompt(
            encoding, details["context"] - len(continuation), details["start_token_id"]
        )
        yield {**_token_inputs([*ids, *continuation]), **_empty_cache(graph, ())}


def _encoder_decoder_inputs(
    pair: GraphPair,
    pairs: Sequence[GraphPair],
    tokenizer: Any,
    details: Mapping[str, Any],
    golden: Rows,
    graph: Any,
) -> Iterator[Feed]:
    """Yield the text for the encoder; for the decoder the tokens generated and the keys of the reference's encoder."""
    tokenizer.enable_truncation(details["context"])
    start = details["start_token_id"]
    texts = [tokenizer.encode(str(row.request.inputs[0])).ids or [start] for row in golden]
    if pair.name == "encoder":
        yield from map(_token_inputs, texts)
        return
    (encoder,) = [other.exported for other in pairs if other.name == "encoder"]
    # Both decoders get the keys of the reference's encoder, so that its artefact's errors do not count as theirs.
    session = open_session(encoder, threads=1, device="cpu")
    keys = [node.name for node in session.get_outputs()]
    for row, ids in zip(golden, texts, strict=True):
        encoder_inputs = {
            name: _token_inputs(ids)[name] for name in ("input_ids", "attention_mask")
        }
        fixed = dict(zip(keys, session.run(None, encoder_inputs), strict=True))
        tokens = [start, *(forced_tokens_of(row.reference) or ())]
        yield {
            **_token_inputs(tokens),
            **_empty_cache(graph, fixed),
            **fixed,
            "encoder_attention_mask": encoder_inputs["attention_mask"],
        }


def _token_inputs(ids: Sequence[int]) -> dict[str, NDArray[Any]]:
    tokens = np.array([ids], np.int64)
    return {
        "input_ids": tokens,
        "attention_mask": np.ones_like(tokens),
        "position_ids": np.arange(len(ids), dtype=np.int64)[None],
        # Of a graph whose attention is fused with its cache.
        LAST_INDEX: np.array([len(ids) - 1], np.int32),
        TOTAL: np.array(len(ids), np.int32),
    }


def _empty_cache(graph: Any, given: Collection[str]) -> dict[str, NDArray[np.float32]]:
    """Return keys and values of no tokens, for those of the graph's inputs that are not given."""
    cache = {}
    for node in graph.graph.input:
        # [batch, heads, tokens, size] of which only the heads and their size are fixed.
        if node.name.startswith(PAST) and node.name not in given:
            dims = node.type.tensor_type.shape.dim
            cache[node.name] = np.zeros((1, dims[1].dim_value, 0, dims[3].dim_value), np.float32)
    return cache
