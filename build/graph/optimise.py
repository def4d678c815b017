"""A graph optimised by ONNX Runtime, written by a session that is opened for nothing else.

https://onnxruntime.ai/docs/performance/model-optimizations/graph-optimizations.html
"""

from collections.abc import Sequence
from pathlib import Path

import onnx

from build.graph.edit import every_node
from build.graph.file import MIN_EXTERNAL_BYTES, external_data_of

# Session settings that decide where ONNX Runtime writes the constants of a graph it has optimised.
# https://github.com/microsoft/onnxruntime/blob/main/include/onnxruntime/core/session/onnxruntime_session_options_config_keys.h
EXTERNAL_DATA = "session.optimized_model_external_initializers"
# Folds constants and removes what has no effect, and the same with ONNX Runtime's own operators for groups of nodes.
# Not ORT_ENABLE_ALL: its layouts suit the processor that optimises, which is not the one that serves.
BASIC, EXTENDED = "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED"


def optimise(path: Path, destination: Path, level: str, without: Sequence[str] = ()) -> None:
    """Write the graph as optimised at that level, without the optimisers named; large constants stay external data."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(destination)
    # 3 is ERROR: it warns of each constant that nothing reads once others are folded.
    options.log_severity_level = 3
    if external_data_of(path).exists():
        name, size = external_data_of(destination).name, str(MIN_EXTERNAL_BYTES)
        options.add_session_config_entry(f"{EXTERNAL_DATA}_file_name", name)
        options.add_session_config_entry(f"{EXTERNAL_DATA}_min_size_in_bytes", size)
    ort.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=list(without)
    )
    _import_used_domains(destination)


def _import_used_domains(path: Path) -> None:
    """Remove the imports of operators that no node uses, in place.

    ONNX Runtime writes every domain it knows, with those of libraries that the process has loaded, so that a graph's
    bytes would depend on what was done before.
    """
    model = onnx.load(path, load_external_data=False)
    used = {node.domain for node in every_node(model.graph)}
    for entry in [one for one in model.opset_import if one.domain not in used]:
        model.opset_import.remove(entry)
    path.write_bytes(model.SerializeToString())
