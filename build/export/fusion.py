"""Graphs of encoders in full precision: with the task's head, plain, and with groups of nodes fused into one operator.

ONNX Runtime's optimiser fuses attention, layer norms and GELU into operators of its own, which have faster kernels:
https://onnxruntime.ai/docs/performance/transformers-optimization.html
"""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import onnx

from build.export.attention_fusion import at_opset_23, fuse_attention, unfused_attention_count
from build.export.head_shapes import state_heads
from build.export.pooling import add_pooling
from build.graph.edit import sign
from build.graph.file import copy_without, load, save_apart
from build.graph.finite import check_finite
from build.graph.optimise import BASIC, optimise
from build.graph.stand_ins import put_back, with_stand_ins
from build.graph.tensors import read_into_memory
from build.sources.source import TokenizedSource
from build.sources.token_ids import check_tokens
from build.workspace.build_memory import release_memory
from build.workspace.quiet import quiet
from functions.inference.session import open_session

PLAIN, FUSED = "plain.onnx", "fused.onnx"
# Fused operators that evidence names.
REPORTED = (
    "Attention",
    "ONNX Attention",
    "SkipLayerNormalization",
    "LayerNormalization",
    "BiasGelu",
    "Gelu",
    "FastGelu",
)


def plain(source: TokenizedSource, exported: Path, destination: Path) -> Path:
    """Save the exported graph with the task's head to `destination`.

    Raise SourceError for NaN among its weights, and for token ids that it has no embedding for.
    """
    model = load(exported)
    check_tokens(model.graph, source)
    if source.pooling:
        add_pooling(model.graph, source.pooling, source.folder)
    source.task.graph.add_head(model.graph, source.details)
    state_heads(model.graph)
    check_finite(model.graph, source.path)
    _save(model, destination)
    del model
    return _checked(destination)


def fuse(source: TokenizedSource, graph: Path, destination: Path) -> Path:
    """Save the plain graph with attention, layer norms and GELU each as one operator, and counts of these as a note.

    Every architecture is optimised as BERT, whose patterns most of them share. If the optimiser leaves attention
    unfused, ours is tried. If the fused graph cannot be loaded, the plain one takes its place.
    """
    with tempfile.TemporaryDirectory(dir=graph.parent) as scratch:
        folded = Path(scratch) / graph.name
        # Constants first, such as relative positions. Patterns are written for constants that are not shared.
        optimise(graph, folded, BASIC, without=("ConstantSharing",))
        release_memory()
        model = _fused(source, folded, attention=True)
        if left := unfused_attention_count(model.graph):
            del model  # a large model leaves no room for two
            model = _fused(source, folded, attention=False)
            fuse_attention(model.graph, source.heads)
            if unfused_attention_count(model.graph) < left:
                at_opset_23(model)
            else:
                model = _fused(source, folded, attention=True)
        _save(model, destination, _operator_counts(model.graph))
        del model
    try:
        open_session(_checked(destination), threads=1, device="cpu")
    except Exception:  # the checker and ONNX Runtime document no common type for what they raise
        _save(load(graph), destination, "nothing")
        _checked(destination)
    return destination


def fused_operators(graph: Path) -> str:
    """Return the counts of fused operators that `fuse` has noted in a graph, or in a candidate made from it."""
    return str(onnx.load(graph, load_external_data=False).doc_string)


def _fused(source: TokenizedSource, folded: Path, *, attention: bool) -> Any:
    """Return the graph with groups of nodes fused; constants that this leaves as they are stay in its file."""
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    options = FusionOptions("bert")
    options.enable_attention = attention

    # Not by `optimize_model`, which would import torch for it.
    def fused(model: Any) -> Any:
        return optimizer.optimize_by_fusion(
            model, "bert", source.heads, source.hidden, options
        ).model

    whole = load(folded)
    lean, digests = with_stand_ins(whole)
    with quiet():
        try:
            # Copied, because a graph keeps the memory of all that was in it.
            found = copy_without(fused(lean), "")
            del lean
            release_memory()
            stands = put_back(found, whole, digests)
        except Exception:  # of the optimiser, where it reads what no fusion of ours needs
            stands = False
        if not stands:
            read_into_memory(whole.graph.initializer)
            found = fused(whole)
    del whole
    release_memory()
    return found


def _operator_counts(graph: Any) -> str:
    counts = Counter(
        f"ONNX {node.op_type}" if node.op_type == "Attention" and not node.domain else node.op_type
        for node in graph.node
    )
    return ", ".join(f"{counts[name]} {name}" for name in REPORTED if counts[name]) or "nothing"


def _save(model: Any, destination: Path, note: str = "") -> None:
    sign(model, note)
    save_apart(model, destination)


def _checked(graph: Path) -> Path:
    """Check a graph that has been saved, and return its path; the checker reads it anew, so none should be in memory.

    By its path: a model in memory is serialised for the check, which fails above protobuf's 2 GiB.
    """
    release_memory()
    onnx.checker.check_model(str(graph), full_check=False)
    return graph
