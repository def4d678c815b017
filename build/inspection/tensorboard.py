"""What TensorBoard shows of a build: both graphs, weights before and after, and what was measured of candidates.

Written by tensorboardX, which brings nothing besides; torch's own writer needs all of TensorBoard to be installed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from build.inspection.layers import nearest
from build.prepared import Pair
from build.recipes.dequantize import weights

ORIGINAL, BUILT, CANDIDATES = "original", "built", "candidates"
# What is told of a candidate as one number each, where it was measured.
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


def write_board(
    folder: Path, pairs: Sequence[Pair], evidence: Mapping[str, Any] | None
) -> dict[str, int]:
    """Write event files below the folder; the number of graphs, of histograms and of candidates in them."""
    told = {"graphs": 0, "histograms": 0, "candidates": 0}
    for pair in pairs:
        single = len(pairs) == 1
        sides = (
            (ORIGINAL, onnx.load(pair.exported), nearest(pair)),
            (BUILT, built := onnx.load(pair.built), built),
        )
        for side, drawn, weighed in sides:
            run = folder / side if single else folder / side / pair.name
            told["graphs"] += 1
            told["histograms"] += _write_graph(run, drawn.graph, weights(weighed.graph))
    for candidate in (evidence or {}).get("candidates", ()):
        _write_candidate(folder / CANDIDATES / _plain(candidate["recipe"]), candidate)
        told["candidates"] += 1
    return told


def _write_graph(run: Path, graph: Any, matrices: Mapping[str, Any]) -> int:
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(run)) as writer:
        writer.file_writer.add_onnx_graph(drawing(graph))
        for name, matrix in matrices.items():
            writer.add_histogram(f"weights/{_plain(name)}", matrix, 0)
    return len(matrices)


def _write_candidate(run: Path, candidate: Mapping[str, Any]) -> None:
    """Single numbers at step 0; latencies with the number of tokens as their step, which makes a curve."""
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(run)) as writer:
        for name in FIGURES:
            if candidate.get(name) is not None:
                writer.add_scalar(f"candidate/{name}", candidate[name], 0)
        writer.add_scalar("candidate/size_mb", candidate["bytes"] / 1e6, 0)
        for tokens, ms in candidate["ms"].items():
            writer.add_scalar("latency/ms_by_tokens", ms, int(tokens))


def drawing(graph: Any) -> Any:
    """The graph in TensorBoard's own form: nodes by what they make, with a slash where a scope begins; no constants."""
    from tensorboardX.proto.attr_value_pb2 import AttrValue
    from tensorboardX.proto.graph_pb2 import GraphDef
    from tensorboardX.proto.node_def_pb2 import NodeDef
    from tensorboardX.proto.versions_pb2 import VersionDef

    own = {tensor.name for tensor in graph.initializer}
    names = {node.name: _plain(node.name) for node in graph.input if node.name not in own}
    nodes = [NodeDef(name=name, op="Input") for name in names.values()]
    for node in graph.node:
        name = _plain(node.output[0])
        names |= dict.fromkeys(node.output, name)
        read = [names[value] for value in node.input if value in names]
        constants = ", ".join(value for value in node.input if value in own)
        more = {"constants": AttrValue(s=constants.encode())} if constants else {}
        nodes.append(NodeDef(name=name, op=node.op_type, input=read, attr=more))
    ends = [output.name for output in graph.output if output.name in names]
    nodes += [
        NodeDef(name=f"outputs/{_plain(name)}", op="Output", input=[names[name]]) for name in ends
    ]
    return GraphDef(node=nodes, versions=VersionDef(producer=22))


def _plain(name: str) -> str:
    """A name that TensorBoard takes as it is."""
    kept = "".join(c if c.isalnum() or c in "_./-" else "_" for c in name)
    return kept.strip("/") or "_"
