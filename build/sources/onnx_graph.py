"""An ONNX graph as a source: a file, or a folder with one, in full precision or quantized already.

The graph itself is the reference that candidates are measured against.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from build.errors import ExportFailed
from build.graph.edit import every_node
from build.graph.file import save
from build.graph.opset import MIN_OPSET, OPSET
from build.sources import probabilities
from build.sources.bare_graph import (
    check_inputs,
    check_labels,
    fixed_length,
    fixed_limit,
    pad_id,
    sizes,
)
from build.sources.formats import ONNX
from build.sources.huggingface.folder import (
    read_details,
    read_licence,
    read_max_tokens,
    token_types,
)
from build.sources.huggingface.folder_files import (
    SENTENCE_CONFIGS,
    FolderFiles,
    read_folder_files,
)
from build.sources.huggingface.labels import read_labels
from build.sources.huggingface.pooling_config import lowercase, read_pooling
from build.sources.onnx_file import data_files, read_graph
from build.sources.position_tables import position_limit
from build.sources.source import PARTS, GraphSource, Pooling, Unusable, digest_of
from build.sources.token_ids import check_ids
from build.tasks.description import FamilyName, TaskDescription
from contracts.manifest import MODEL
from contracts.problems import Code
from contracts.specs import SourceOptions
from functions.inference.token_batches import INPUTS

POSITIONS = "position_ids"
# Files beside a graph that decide how it is served, and so belong to its digest.
DESCRIBING = (
    "config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "modules.json",
    *SENTENCE_CONFIGS,
    "config_sentence_transformers.json",
)
# Operators that only a quantized graph has.
QUANTIZED = {"DynamicQuantizeLinear", "MatMulInteger", "QLinearMatMul", "MatMulNBits", "QAttention"}


def read(
    source: Path, task: TaskDescription, max_tokens: int | None, options: SourceOptions
) -> GraphSource:
    """Return the source; raise Unusable with the first problem."""
    path = graph_of(source) if source.is_dir() else source
    tokenizer = _tokenizer_of(path.parent, options)
    model = read_graph(path)
    graph = model.graph
    inputs = _inputs_of(graph, task, options)
    one_text, length = sizes([shape_of(node) for node in graph.input])
    files = read_folder_files(path.parent, tokenizer)
    labels = _labels_of(graph, files, task, options)
    _check_ids(graph, inputs, files)
    end = probabilities.removable_activation(task, probabilities.end_of(graph))
    pooling = read_pooling(files) if task.graph.pooled and _rank(graph) == 3 else None
    data = data_files(graph, path.parent)
    pad = files.settings.pad or pad_id(files.tokenizer)
    rows = position_limit(model, path.parent, inputs, pad)
    return GraphSource(
        kind=ONNX,
        path=path,
        task=task,
        digest=_digest(source, path, tokenizer, data, pooling),
        tokenizer=tokenizer,
        tokenizer_changes={**files.tokenizer.changes, **(lowercase(files) if pooling else {})},
        inputs=tuple(inputs.values()),
        weight_bytes=sum(p.stat().st_size for p in (path, *data)),
        heads=files.settings.heads,
        hidden=files.settings.hidden,
        max_tokens=read_max_tokens(
            files, fixed_limit(max_tokens, length), rows, by_sentences=task.graph.pooled
        ),
        labels=labels,
        pooling=pooling,
        pad_token_id=pad,
        licence=read_licence(path.parent),
        details={
            **read_details(files, task, labels),
            **fixed_length(files.tokenizer, length),
            **(token_types(files, task) if "model_input_names" in files.tokenizer_config else {}),
            **probabilities.details_of(task, end, _width(graph)),
        },
        removable_activation=end,
        one_text=one_text,
        quantized=any(node.op_type in QUANTIZED for node in graph.node),
    )


def _tokenizer_of(folder: Path, options: SourceOptions) -> Path:
    tokenizer = options.tokenizer or folder / "tokenizer.json"
    if not tokenizer.is_file():
        raise Unusable(
            Code.TOKENIZER_MISSING,
            f"no {tokenizer.name} beside it; name the one that belongs to it as `tokenizer`",
        )
    return tokenizer


def _inputs_of(graph: Any, task: TaskDescription, options: SourceOptions) -> dict[str, str]:
    """Return our name of each input, in the graph's order; raise Unusable for one that cannot be fed."""
    names = [node.name for node in graph.input]
    scores = task.family is FamilyName.SCORER
    # Encoders compute positions themselves; of exported causal models, position ids are an input.
    check_inputs(names, options.inputs, (*INPUTS, POSITIONS) if scores else tuple(INPUTS))
    if scores and _rank(graph) not in (0, 3):
        raise Unusable(
            Code.OUTPUTS_UNSUPPORTED,
            f"its first output has {_rank(graph)} axes; to score texts it has to be logits [batch, tokens, vocabulary]",
        )
    return dict(zip(names, options.inputs or names, strict=True))


def _check_ids(graph: Any, inputs: Mapping[str, str], files: FolderFiles) -> None:
    """Raise Unusable where the tokenizer makes ids that the graph has no row for."""
    for name, ours in inputs.items():
        if ours == "input_ids":
            check_ids(graph, name, files.tokenizer)


def _digest(
    source: Path, path: Path, tokenizer: Path, data: Sequence[Path], pooling: Pooling | None
) -> str:
    """Return the digest of a whole folder, or of the files that belong to one graph among others.

    External data may have any name, so they count whether or not their suffix is that of a model's file.
    """
    if source.is_dir():
        return digest_of(source, tokenizer, *(p for p in data if p.suffix not in PARTS))
    folder = path.parent
    files = [path, *data, tokenizer, *(folder / name for name in DESCRIBING)]
    if pooling:
        files += sorted(folder.glob("*/config.json"))
        files += [p for dense in pooling.dense for p in sorted((folder / dense.place).iterdir())]
    return digest_of(None, *(p for p in files if p.is_file()))


def graph_of(folder: Path) -> Path:
    """Return the one graph in a folder; raise Unusable where there are several."""
    graphs = sorted(folder.glob("*.onnx"))
    if len(graphs) > 1:
        names = ", ".join(path.name for path in graphs)
        raise Unusable(Code.FORMAT_AMBIGUOUS, f"holds {names}; name the one to build as `source`")
    return graphs[0]


def _labels_of(
    graph: Any, files: FolderFiles, task: TaskDescription, options: SourceOptions
) -> tuple[str, ...]:
    """Return the labels that the user gives or config.json has; raise Unusable where they do not fit the graph."""
    labels = options.labels
    if task.min_labels and not labels:
        if not files.config.get("id2label"):
            raise Unusable(
                Code.LABELS_MISSING,
                "no config.json with `id2label` beside it; give `labels`, in the order of its outputs",
            )
        labels = read_labels(files.config, task.min_labels)
    check_labels(task, _width(graph), labels, paired=True)
    return labels


def shape_of(value: Any) -> tuple[int, ...]:
    """Return the sizes of an input or output, 0 for those that are open."""
    return tuple(max(0, dim.dim_value) for dim in value.type.tensor_type.shape.dim)


def _rank(graph: Any) -> int:
    return len(shape_of(graph.output[0]))


def _width(graph: Any) -> int:
    return (shape_of(graph.output[0]) or (0,))[-1]


def export(source: GraphSource, destination: Path) -> Path:
    """Write the graph with its inputs named and typed as they are fed, and return its path; raise ExportFailed."""
    destination.mkdir(parents=True)
    model = onnx.load(source.path)
    version = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if version < MIN_OPSET:
        try:
            model = onnx.version_converter.convert_version(model, OPSET)
        except Exception as error:
            raise ExportFailed(
                f"{source.path} has operator set {version} and cannot be brought to {OPSET} ({error}); export it again"
            ) from error
    finish(model, source)
    save(model, destination / MODEL)
    return destination / MODEL


def finish(model: Any, source: GraphSource) -> None:
    """Name and type the graph's inputs as they are fed, and keep only the outputs that its task needs."""
    _rename_inputs(model.graph, source.inputs)
    _widen_inputs(model.graph)
    # Others are not read: the pooled vector of BERT is a second output, for example.
    del model.graph.output[len(source.task.graph.names) :]
    probabilities.to_logits(model.graph, source)


def _rename_inputs(graph: Any, names: Sequence[str]) -> None:
    new = {node.name: name for node, name in zip(graph.input, names, strict=True)}
    made = {name for node in graph.node for name in node.output}
    # An inner tensor may already have one of the names that the inputs are given.
    new |= {name: f"{name}_within" for name in made & set(names)}
    for node in graph.input:
        node.name = new[node.name]
    for node in every_node(graph):
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]


def _widen_inputs(graph: Any) -> None:
    """Let the graph take tokens as int64, which is what it is fed, and cast them to its own type."""
    for node in graph.input:
        kind = node.type.tensor_type.elem_type
        if kind == TensorProto.INT64:
            continue
        name = f"{node.name}_cast"
        for other in every_node(graph):
            other.input[:] = [name if n == node.name else n for n in other.input]
        graph.node.insert(0, helper.make_node("Cast", [node.name], [name], name=name, to=kind))
        node.type.tensor_type.elem_type = TensorProto.INT64
