"""Models that write, from a Hugging Face folder to graphs with a cache: what `Generator` and `Seq2Seq` open.

A causal model becomes `model.onnx`; one with an encoder becomes `encoder.onnx`, which ends in the keys and values that
the decoder's layers look at, and `decoder.onnx`. A prompt is read with a cache of length zero, so no graph is there
twice. Logits are those of the last position alone. Where a causal model's attention is of a form that is known, the
tables it is turned by lie beside it, in `in-place.npz`: candidates for a processor then write into their cache.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from build.errors import ExportFailed
from build.export import kv_cache
from build.export.exporter import export_folder
from build.graph.constant_shapes import fold_constant_shapes
from build.graph.edit import HIDDEN, LOGITS, prune
from build.graph.file import BESIDE_BYTES, MOST_BYTES, beside_of, save
from build.graph.finite import check_finite

TABLES = "in-place.npz"
# The settings of a session for where it writes the constants of the graph it has optimised.
BESIDE = "session.optimized_model_external_initializers"
# A change of a graph, in place, before ONNX Runtime optimises it.
Change = Callable[[Any], None]


def prepare_causal(folder: Path, destination: Path, context: int) -> None:
    """`destination/model.onnx`, and what `in_place` needs where that is of use; raises ExportFailed or SourceError."""
    with tempfile.TemporaryDirectory(dir=destination.parent) as scratch:
        exported = export_folder(folder, Path(scratch), "text-generation-with-past", merge=False)
        model = onnx.load(exported / "model.onnx")
        check_finite(model.graph, folder)
        with _naming(folder):
            last_token_logits(model.graph)
        fold_constant_shapes(model, exported / "settle.onnx")
        _save(model, destination / "model.onnx")
        if not _sliding_window(folder) < context:
            _try_in_place(model, destination, context)


def _sliding_window(folder: Path) -> float:
    """How many tokens every layer sees at least: the operator in place knows no window."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    return float(window or "inf")


def _try_in_place(model: Any, prepared: Path, context: int) -> None:
    """Keep the tables if the graph with its attention in place answers as it did."""
    place = prepared / "tried.onnx"
    try:
        tables = kv_cache.tables_of(model, context)
        kv_cache.in_place(model.graph, tables)
        _save(model, place)
        if kv_cache.answers_alike(prepared / "model.onnx", place):
            named: dict[str, Any] = {name.replace("/", "|"): t for name, t in tables.items()}
            np.savez(prepared / TABLES, **named)
    except kv_cache.Unmatched:
        pass  # it is served as it was exported
    finally:
        place.unlink(missing_ok=True)
        beside_of(place).unlink(missing_ok=True)


def kv_cache_fusion(prepared: Path) -> Change | None:
    """The change that has attention computed in place, where that was found to answer alike."""
    if not (prepared / TABLES).exists():
        return None
    with np.load(prepared / TABLES) as tables:
        found = {name.replace("|", "/"): tables[name] for name in tables.files}
    return lambda graph: kv_cache.in_place(graph, found)


def prepare_seq2seq(folder: Path, destination: Path, context: int) -> None:
    """`destination/encoder.onnx` and `decoder.onnx`; raises ExportFailed or SourceError."""
    with tempfile.TemporaryDirectory(dir=destination.parent) as scratch:
        exported = export_folder(
            folder, Path(scratch), "text2text-generation-with-past", merge=False
        )
        encoder = onnx.load(exported / "encoder_model.onnx")
        decoder = onnx.load(exported / "decoder_with_past_model.onnx")
        with _naming(folder):
            _end_in_keys(encoder.graph, onnx.load(exported / "decoder_model.onnx").graph)
            last_token_logits(decoder.graph)
        for graph in (encoder.graph, decoder.graph):
            check_finite(graph, folder)
        _save(encoder, destination / "encoder.onnx")
        fold_constant_shapes(decoder, exported / "settle.onnx")
        _save(decoder, destination / "decoder.onnx")


def finish(prepared: Path, destination: Path, *changes: Change, most: int = MOST_BYTES) -> None:
    """Change every prepared graph, and have ONNX Runtime fuse what it knows: loading does no such work.

    Where its constants are more than `most` bytes, they lie beside a graph.
    """
    for path in sorted(prepared.glob("*.onnx")):
        _optimise(path, changes, destination / path.name, most)


@contextlib.contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Say which architecture it is that has another form than those that are known."""
    try:
        yield
    except ExportFailed as error:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        raise ExportFailed(
            f"{folder}: models of the architecture {config.get('model_type', 'that it has')} cannot be built yet: "
            f"{error}"
        ) from error


def last_token_logits(graph: Any) -> None:
    """Logits [batch, vocabulary] of the last position, by a product that reads the embedding where the two are tied."""
    makers = {output: node for node in graph.node for output in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    head = makers[LOGITS]
    if head.op_type != "MatMul" or head.input[1] not in constants:
        raise ExportFailed(f"the logits come from {head.op_type}, not from a product with a matrix")
    matrix = numpy_helper.to_array(constants[head.input[1]]).T
    table = next((t.name for t in graph.initializer if _is(t, matrix)), None)
    if table is None:
        table = f"{head.input[1]}_rows"
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(matrix), table))
    graph.initializer.append(numpy_helper.from_array(np.array(-1, np.int64), "last_position"))
    hidden = head.input[0]
    graph.node.remove(head)
    graph.node.extend(
        [
            helper.make_node("Gather", [hidden, "last_position"], ["last"], name="last", axis=1),
            helper.make_node("Gemm", ["last", table], [LOGITS], name=LOGITS, transB=1),
        ]
    )
    (logits,) = [output for output in graph.output if output.name == LOGITS]
    shape = ["batch_size", len(matrix)]
    logits.CopyFrom(helper.make_tensor_value_info(LOGITS, onnx.TensorProto.FLOAT, shape))
    prune(graph)


def _is(tensor: Any, matrix: Any) -> bool:
    if tuple(tensor.dims) != matrix.shape:
        return False
    return np.array_equal(numpy_helper.to_array(tensor), matrix)


def _end_in_keys(encoder: Any, decoder: Any) -> None:
    """Put what the decoder computes of the encoder's answer alone at the end of the encoder."""
    makers = {output: node for node in decoder.node for output in node.output}
    constants = {tensor.name: tensor for tensor in decoder.initializer}
    hidden = encoder.output[0].name
    del encoder.output[:]
    for value in [output for output in decoder.output if ".encoder." in output.name]:
        transpose = makers[value.name]
        reshape = makers[transpose.input[0]]
        product = makers[reshape.input[0]]
        kinds = (transpose.op_type, reshape.op_type, product.op_type, product.input[0])
        if kinds != ("Transpose", "Reshape", "MatMul", HIDDEN):
            raise ExportFailed(f"{value.name} is not a projection of what the encoder answers")
        name = value.name.replace("present.", "past_key_values.")
        dims = value.type.tensor_type.shape.dim
        shape = np.array([0, -1, dims[1].dim_value, dims[3].dim_value], np.int64)
        weight = numpy_helper.to_array(constants[product.input[1]])
        encoder.initializer.append(numpy_helper.from_array(weight, f"{name}_weight"))
        encoder.initializer.append(numpy_helper.from_array(shape, f"{name}_shape"))
        steps = (
            ("MatMul", [hidden, f"{name}_weight"], f"{name}_flat"),
            ("Reshape", [f"{name}_flat", f"{name}_shape"], f"{name}_heads"),
            ("Transpose", [f"{name}_heads"], name),
        )
        for kind, inputs, output in steps:
            more = {"perm": [0, 2, 1, 3]} if kind == "Transpose" else {}
            encoder.node.append(helper.make_node(kind, inputs, [output], name=output, **more))
        value.name = name
        encoder.output.append(value)


def _save(model: Any, destination: Path) -> None:
    if not any(entry.domain == "com.microsoft" for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "turnout", "", ""
    save(model, destination)


def _optimise(path: Path, changes: Sequence[Change], destination: Path, most: int) -> None:
    import onnxruntime as ort

    with tempfile.TemporaryDirectory(dir=destination.parent) as scratch:
        plain = Path(scratch) / "plain.onnx"
        _change(path, changes, plain, most)
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(destination)
        options.log_severity_level = 3
        if beside_of(plain).exists():
            name, least = beside_of(destination).name, str(BESIDE_BYTES)
            options.add_session_config_entry(f"{BESIDE}_file_name", name)
            options.add_session_config_entry(f"{BESIDE}_min_size_in_bytes", least)
        ort.InferenceSession(str(plain), options, providers=["CPUExecutionProvider"])


def _change(path: Path, changes: Sequence[Change], destination: Path, most: int) -> None:
    model = onnx.load(path)
    for change in changes:
        change(model.graph)
    save(model, destination, most)
