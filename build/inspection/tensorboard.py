"""Event files for TensorBoard: both graphs, weights before and after, and the figures of candidates.

They are written by tensorboardX, since torch's own writer needs all of TensorBoard to be installed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from build.exported_graphs import GraphPair
from build.inspection.layers import closest_reference
from build.recipes.dequantize import weights

REFERENCE, BUILT, CANDIDATES = "reference", "built", "candidates"
# The figures of a candidate that are single numbers; evidence has those of its task.
FIGURES = (
    "agreement",
    "metric_original",
    "metric_built",
    "perplexity_original",
    "perplexity_built",
    "spearman_original",
    "spearman_built",
    "cosine_mean",
    "cosine_p5",
    "cosine_min",
    "expected_ms",
    "load_ms",
    "peak_mb",
)


def write_event_files(
    folder: Path, pairs: Sequence[GraphPair], evidence: Mapping[str, Any] | None
) -> dict[str, int]:
    """Write event files below the folder, and return the numbers of graphs, histograms and candidates in them."""
    counts = {"graphs": 0, "histograms": 0, "candidates": 0}
    for pair in pairs:
        single = len(pairs) == 1
        sides = (
            (REFERENCE, onnx.load(pair.exported), closest_reference(pair)),
            (BUILT, built := onnx.load(pair.built), built),
        )
        for side, drawn, weights_from in sides:
            run = folder / side if single else folder / side / pair.name
            counts["graphs"] += 1
            counts["histograms"] += _write_graph(run, drawn.graph, weights(weights_from.graph))
    for candidate in (evidence or {}).get("candidates", ()):
        _write_candidate(folder / CANDIDATES / _safe_name(candidate["recipe"]), candidate)
        counts["candidates"] += 1
    return counts


def _write_graph(run: Path, graph: Any, matrices: Mapping[str, Any]) -> int:
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(run)) as writer:
        writer.file_writer.add_onnx_graph(graph_def(graph))
        for name, matrix in matrices.items():
            writer.add_histogram(f"weights/{_safe_name(name)}", matrix, 0)
    return len(matrices)


def _write_candidate(run: Path, candidate: Mapping[str, Any]) -> None:
    """Write single numbers at step 0, and latencies with the number of tokens as their step, which makes a curve."""
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(run)) as writer:
        for name in FIGURES:
            if candidate.get(name) is not None:
                writer.add_scalar(f"candidate/{name}", candidate[name], 0)
        writer.add_scalar("candidate/size_mb", candidate["bytes"] / 1e6, 0)
        for tokens, ms in candidate["ms"].items():
            writer.add_scalar("latency/ms_by_tokens", ms, int(tokens))


def graph_def(graph: Any) -> Any:
    """Return the graph as TensorBoard's GraphDef: nodes named by their first output, without constants.

    A slash in a name begins a scope, which TensorBoard draws as a box.
    """
    from tensorboardX.proto.attr_value_pb2 import AttrValue
    from tensorboardX.proto.graph_pb2 import GraphDef
    from tensorboardX.proto.node_def_pb2 import NodeDef
    from tensorboardX.proto.versions_pb2 import VersionDef

    # Weights have histograms of their own; as nodes they would hide the graph.
    own = {tensor.name for tensor in graph.initializer}
    names = {node.name: _safe_name(node.name) for node in graph.input if node.name not in own}
    nodes = [NodeDef(name=name, op="Input") for name in names.values()]
    for node in graph.node:
        name = _safe_name(node.output[0])
        names |= dict.fromkeys(node.output, name)
        inputs = [names[value] for value in node.input if value in names]
        constants = ", ".join(value for value in node.input if value in own)
        more = {"constants": AttrValue(s=constants.encode())} if constants else {}
        nodes.append(NodeDef(name=name, op=node.op_type, input=inputs, attr=more))
    ends = [output.name for output in graph.output if output.name in names]
    nodes += [
        NodeDef(name=f"outputs/{_safe_name(name)}", op="Output", input=[names[name]])
        for name in ends
    ]
    return GraphDef(node=nodes, versions=VersionDef(producer=22))


def _safe_name(name: str) -> str:
    """Return the name with the characters that TensorBoard accepts."""
    kept = "".join(c if c.isalnum() or c in "_./-" else "_" for c in name)
    return kept.strip("/") or "_"
