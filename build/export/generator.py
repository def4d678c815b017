"""Generators, from a Hugging Face folder to graphs with a KV cache: what `Generator` and `Seq2Seq` open.

A causal model becomes `model.onnx`. A model with an encoder becomes `encoder.onnx`, which returns the keys and values
of the decoder's cross-attention, and `decoder.onnx`. A prompt is run with an empty cache, so one graph serves both the
prompt and the tokens after it. Logits are those of the last position alone. If a causal model's attention can be fused
into GroupQueryAttention, its rotary tables are kept beside the graph, for the candidates of a CPU.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from build.errors import ExportFailed
from build.export import kv_cache
from build.export.exporters import export_folder, keep_record
from build.graph.constant_shapes import fold_constant_shapes
from build.graph.edit import add_constant, constants, producers, prune, replace_node, sign
from build.graph.file import MAX_BYTES, load, remove, save, save_apart
from build.graph.finite import check_finite
from build.graph.language_head import language_head
from build.graph.optimise import EXTENDED, optimise
from build.graph.tensors import array_of
from build.sources.huggingface.config import FILE as CONFIG
from build.workspace.build_memory import release_memory
from contracts.manifest import MODEL
from functions.inference.decoder import LOGITS, PAST, PRESENT
from functions.inference.seq2seq import DECODER, ENCODER

# optimum's names: of the decoder's input from the encoder, and of the three graphs of a model with an encoder. The
# decoder without a cache is the one that computes the keys of cross-attention.
HIDDEN = "encoder_hidden_states"
ENCODER_GRAPH, FIRST_DECODER, DECODER_WITH_CACHE = (
    f"{name}.onnx" for name in ("encoder_model", "decoder_model", "decoder_with_past_model")
)
ROTARY_TABLES = "in-place.npz"
# A change of a graph, in place, before ONNX Runtime optimises it.
Change = Callable[[Any], None]
# Exports a folder's graphs for a task of optimum's names to another folder, and returns that one.
Export = Callable[[Path, Path, str], Path]


def prepare_causal(
    folder: Path,
    destination: Path,
    context: int,
    export: Export = export_folder,
    *,
    beams: bool = False,
) -> None:
    """Write `destination/model.onnx`, and rotary tables if they are of use; raise ExportFailed or SourceError.

    With `beams`, the graph runs several rows at once.
    """
    with tempfile.TemporaryDirectory(dir=destination.parent) as scratch:
        exported = export(folder, Path(scratch), "text-generation-with-past")
        model = load(exported / MODEL)
        check_finite(model.graph, folder)
        with _naming_architecture(folder):
            last_token_logits(model.graph)
        fold_constant_shapes(model, exported / "observed.onnx", beams=beams)
        _save(model, destination / MODEL)
        keep_record(exported, destination)
        if _sliding_window(folder) >= context:
            _keep_rotary_tables(model, destination, context)


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / CONFIG).read_text("utf-8"))
    return config


def _sliding_window(folder: Path) -> float:
    """Return how many tokens attention reaches back. A fused graph has no such limit, so none may be in effect."""
    config = _config(folder)
    # Qwen2's config.json has a window even where `use_sliding_window` turns it off.
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    return float(window or "inf")


def _keep_rotary_tables(model: Any, prepared: Path, context: int) -> None:
    """Write the tables beside the graph if the graph with fused attention returns the same logits."""
    fused = prepared / "fused.onnx"
    try:
        tables = kv_cache.rotary_tables(model, context)
        kv_cache.fuse_grouped_query_attention(model.graph, tables)
        _save(model, fused)
        if kv_cache.same_logits(prepared / MODEL, fused):
            named: dict[str, Any] = {name.replace("/", "|"): t for name, t in tables.items()}
            np.savez(prepared / ROTARY_TABLES, **named)
    except kv_cache.Unmatched:
        pass  # the exported attention is right as well, only slower
    finally:
        remove(fused)


def kv_cache_fusion(prepared: Path) -> Change | None:
    """Return the change that fuses attention with the KV cache; None if the fused graph was found to differ."""
    if not (prepared / ROTARY_TABLES).exists():
        return None
    with np.load(prepared / ROTARY_TABLES) as arrays:
        tables = {name.replace("|", "/"): arrays[name] for name in arrays.files}
    return lambda graph: kv_cache.fuse_grouped_query_attention(graph, tables)


def prepare_seq2seq(
    folder: Path,
    destination: Path,
    context: int,
    export: Export = export_folder,
    *,
    beams: bool = False,
) -> None:
    """Write `destination/encoder.onnx` and `decoder.onnx`; raise ExportFailed or SourceError.

    With `beams`, the decoder runs several rows at once, which share the keys and values of one text.
    """
    with tempfile.TemporaryDirectory(dir=destination.parent) as scratch:
        exported = export(folder, Path(scratch), "text2text-generation-with-past")
        encoder = load(exported / ENCODER_GRAPH)
        decoder = load(exported / DECODER_WITH_CACHE)
        with _naming_architecture(folder):
            # torch.onnx makes no such decoder, and an encoder that returns the keys already.
            if (exported / FIRST_DECODER).exists():
                _move_cross_attention_keys(encoder.graph, load(exported / FIRST_DECODER).graph)
            last_token_logits(decoder.graph)
        for graph in (encoder.graph, decoder.graph):
            check_finite(graph, folder)
        _save(encoder, destination / ENCODER)
        fold_constant_shapes(decoder, exported / "observed.onnx", beams=beams)
        _save(decoder, destination / DECODER)
        keep_record(exported, destination)


@contextlib.contextmanager
def _naming_architecture(folder: Path) -> Iterator[None]:
    """Name the architecture in an ExportFailed that says which part of a graph has an unknown form."""
    try:
        yield
    except ExportFailed as error:
        architecture = _config(folder).get("model_type", "that it has")
        raise ExportFailed(
            f"{folder}: models of the architecture {architecture} cannot be built yet: {error}"
        ) from error


def last_token_logits(graph: Any) -> None:
    """Make the logits [batch, vocabulary], those of the last position alone, in place; raise ExportFailed.

    The head becomes a Gemm that reads the embedding table, if the two are tied: they are then stored once. A bias
    stays behind it.
    """
    head = language_head(graph, LOGITS)
    matrix = array_of(constants(graph)[head.input[1]]).T
    table = next((t.name for t in graph.initializer if _equal(t, matrix)), None)
    if table is None:
        table = add_constant(graph, f"{head.input[1]}_rows", np.ascontiguousarray(matrix))
    last = add_constant(graph, "last_position", np.array(-1, np.int64))
    hidden, product = head.input[0], head.output[0]
    nodes = [
        helper.make_node("Gather", [hidden, last], ["last"], name="last", axis=1),
        helper.make_node("Gemm", ["last", table], [product], name=LOGITS, transB=1),
    ]
    replace_node(graph, head, nodes)
    (logits,) = [output for output in graph.output if output.name == LOGITS]
    shape = ["batch_size", len(matrix)]
    logits.CopyFrom(helper.make_tensor_value_info(LOGITS, onnx.TensorProto.FLOAT, shape))
    prune(graph)


def _equal(tensor: Any, matrix: Any) -> bool:
    if tuple(tensor.dims) != matrix.shape:
        return False
    return np.array_equal(array_of(tensor), matrix)


def _move_cross_attention_keys(encoder: Any, decoder: Any) -> None:
    """Have the encoder return the keys and values of cross-attention instead of its hidden states, in place.

    They depend on the input text alone, so the decoder need not compute them again for each token.
    """
    weights, made_by = constants(decoder), producers(decoder)
    hidden = encoder.output[0].name
    del encoder.output[:]
    for value in [output for output in decoder.output if ".encoder." in output.name]:
        transpose = made_by[value.name]
        reshape = made_by[transpose.input[0]]
        projection = made_by[reshape.input[0]]
        operators = (transpose.op_type, reshape.op_type, projection.op_type, projection.input[0])
        if operators != ("Transpose", "Reshape", "MatMul", HIDDEN):
            raise ExportFailed(f"{value.name} is not a projection of what the encoder answers")
        name = value.name.replace(PRESENT, PAST)
        weight = array_of(weights[projection.input[1]])
        _append_projection(encoder, hidden, weight, value, name)


def _append_projection(graph: Any, hidden: str, weight: Any, value: Any, name: str) -> None:
    """Append hidden [1, tokens, width] times the weight, as an output [1, heads, tokens, head size]."""
    dims = value.type.tensor_type.shape.dim
    shape = np.array([0, -1, dims[1].dim_value, dims[3].dim_value], np.int64)
    add_constant(graph, f"{name}_weight", weight)
    add_constant(graph, f"{name}_shape", shape)
    flat, heads = f"{name}_flat", f"{name}_heads"
    graph.node.extend(
        [
            helper.make_node("MatMul", [hidden, f"{name}_weight"], [flat], name=flat),
            helper.make_node("Reshape", [flat, f"{name}_shape"], [heads], name=heads),
            helper.make_node("Transpose", [heads], [name], name=name, perm=[0, 2, 1, 3]),
        ]
    )
    value.name = name
    graph.output.append(value)


def _save(model: Any, destination: Path) -> None:
    sign(model)
    save_apart(model, destination)


def finish(prepared: Path, destination: Path, *changes: Change, max_bytes: int = MAX_BYTES) -> None:
    """Apply the changes to every prepared graph and have ONNX Runtime optimise it, so that loading does no such work.

    Constants that take more than `max_bytes` become external data.
    """
    for path in sorted(prepared.glob("*.onnx")):
        _optimise(path, changes, destination / path.name, max_bytes)


def _optimise(path: Path, changes: Sequence[Change], destination: Path, max_bytes: int) -> None:
    with tempfile.TemporaryDirectory(dir=destination.parent) as scratch:
        changed, optimised = (Path(scratch) / f"{name}.onnx" for name in ("changed", "optimised"))
        model = load(path)
        for change in changes:
            change(model.graph)
        save_apart(model, changed)
        del model  # the session that optimises holds all weights as well
        release_memory()
        optimise(changed, optimised, EXTENDED)
        save(load(optimised), destination, max_bytes)
