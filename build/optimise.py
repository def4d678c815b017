"""The exported graph with the task's head on it, plain, and fused into operators that ONNX Runtime has kernels for."""

from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from build.heads import add_head
from build.quiet import quiet
from build.source import Source

# Architectures whose attention the optimiser knows by this name.
FUSED_AS = {"bert": "bert", "distilbert": "bert", "roberta": "bert", "xlm-roberta": "bert"}


def plain(source: Source, exported: Path, destination: Path) -> Path:
    """The graph as it was exported, with the task's head, saved to `destination`."""
    model = onnx.load(exported)
    add_head(model.graph, source)
    return _save(model, destination)


def fuse(source: Source, graph: Path, destination: Path) -> Path:
    """The plain graph with attention, layer norms and GELU each as one operator, where their patterns match."""
    return _save(_fused(source, graph), destination)


def _save(model: Any, destination: Path) -> Path:
    if not any(entry.domain == "com.microsoft" for entry in model.opset_import):
        # The fused operators are ONNX Runtime's own.
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "turnout", "", ""
    onnx.checker.check_model(model, full_check=False)
    onnx.save(model, destination)
    return destination


def _fused(source: Source, graph: Path) -> Any:
    """The graph with attention, layer norms and GELU each as one operator, unchanged where none match."""
    if source.model_type not in FUSED_AS:
        return onnx.load(graph)
    from onnxruntime.transformers import optimizer

    with quiet():
        fused = optimizer.optimize_model(
            str(graph),
            model_type=FUSED_AS[source.model_type],
            num_heads=source.heads,
            hidden_size=source.hidden,
            opt_level=0,
        )
    return fused.model
