"""The exported graph with the task's head on it, plain, and fused into operators that ONNX Runtime has kernels for."""

from collections import Counter
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from build.export.attention_fusion import at_opset_23, fuse_attention, unfused_attention_count
from build.export.pooling import add_pooling
from build.graph.file import save
from build.graph.finite import check_finite
from build.sources.source import TokenizedSource
from build.sources.token_ids import check_tokens
from build.workspace.memory import release_memory
from build.workspace.quiet import quiet
from functions.inference.session import open_session

# What of a fused graph is worth telling.
TOLD = (
    "Attention",
    "ONNX Attention",
    "SkipLayerNormalization",
    "LayerNormalization",
    "BiasGelu",
    "Gelu",
    "FastGelu",
)


def plain(source: TokenizedSource, exported: Path, destination: Path) -> Path:
    """The graph as it was exported, with the task's head, saved to `destination`.

    Raises SourceError for NaN among its weights, and for tokens that it does not know.
    """
    model = onnx.load(exported)
    check_tokens(model.graph, source)
    if source.pooling:
        add_pooling(model.graph, source.pooling, source.folder)
    source.task.graph.add_head(model.graph, source.details)
    check_finite(model.graph, source.path)
    return _save(model, destination)


def fuse(source: TokenizedSource, graph: Path, destination: Path) -> Path:
    """The plain graph with attention, layer norms and GELU each as one operator, saved with a word of what was found.

    Every architecture is tried as BERT, whose patterns most share. Where attention stays written out, ours takes the
    place of the optimiser's. A graph that the optimiser leaves broken stays as it was.
    """
    model = _by_optimiser(source, graph, attention=True)
    if left := unfused_attention_count(model.graph):
        del model  # two of them and what made them are more than a large model leaves room for
        model = _by_optimiser(source, graph, attention=False)
        fuse_attention(model.graph, source.heads)
        if unfused_attention_count(model.graph) < left:
            at_opset_23(model)
        else:
            model = _by_optimiser(source, graph, attention=True)
    try:
        _save(model, destination, _operator_counts(model.graph))
        open_session(destination, threads=1, device="cpu")
    except Exception:  # neither the checker nor ONNX Runtime says which of many kinds it raises
        _save(onnx.load(graph), destination, "nothing")
    return destination


def fused_operators(graph: Path) -> str:
    """What a fused graph, or a candidate made from one, says was found in it."""
    return str(onnx.load(graph, load_external_data=False).doc_string)


def _by_optimiser(source: TokenizedSource, graph: Path, *, attention: bool) -> Any:
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    options = FusionOptions("bert")
    options.enable_attention = attention
    with quiet():
        fused = optimizer.optimize_model(
            str(graph),
            model_type="bert",
            num_heads=source.heads,
            hidden_size=source.hidden,
            optimization_options=options,
            opt_level=1,  # what is constant is computed first: relative positions, say
        ).model
    release_memory()
    return fused


def _operator_counts(graph: Any) -> str:
    counts = Counter(
        f"ONNX {node.op_type}" if node.op_type == "Attention" and not node.domain else node.op_type
        for node in graph.node
    )
    return ", ".join(f"{counts[name]} {name}" for name in TOLD if counts[name]) or "nothing"


def _save(model: Any, destination: Path, what: str = "") -> Path:
    if not any(entry.domain == "com.microsoft" for entry in model.opset_import):
        # The fused operators are ONNX Runtime's own.
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "turnout", "", what
    save(model, destination)
    onnx.checker.check_model(str(destination), full_check=False)
    return destination
