"""torch's exporter of traces without its copies of the weights, which are written one by one, straight from the module.

`torch.onnx.export` puts all weights into a message and serialises it, which takes three times the memory of the model.
These are its own steps, for which torch has no public names, up to there; a test compares the bytes of both.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch._C import _onnx as onnx_types
from torch.onnx._internal.torchscript_exporter import utils
from torch.onnx._internal.torchscript_exporter._globals import GLOBALS

from build.graph.file import external_data_of, written_constant

EVAL, ONNX = onnx_types.TrainingMode.EVAL, onnx_types.OperatorExportTypes.ONNX


def export(
    module: torch.nn.Module,
    arguments: tuple[torch.Tensor, ...],
    path: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
    opset: int,
) -> None:
    """Write the graph of a trace to `path`, and its weights beside it."""
    with _exporting(module, opset):
        found, weights = _traced(module, arguments, inputs, outputs, axes, opset)
    model = onnx.load_model_from_string(found)
    graph = model.graph
    given = [value for value in graph.input if value.name not in weights]
    with external_data_of(path).open("wb") as file:
        for value in graph.input:
            if value.name in weights:
                array = weights[value.name].detach().contiguous().numpy()
                graph.initializer.append(written_constant(value.name, array, file, path))
    del graph.input[:]
    graph.input.extend(given)
    onnx.save(model, path)


@contextmanager
def _exporting(module: torch.nn.Module, opset: int) -> Iterator[None]:
    """Set what torch's exporter keeps in globals, and unset it behind the block."""
    utils._trigger_symbolic_function_registration()
    GLOBALS.export_onnx_opset_version, GLOBALS.operator_export_type = opset, ONNX
    GLOBALS.onnx_shape_inference, GLOBALS.in_onnx_export = True, True
    try:
        utils._setup_trace_module_map(module, False)
        with utils.exporter_context(module, EVAL, False):
            yield
    finally:
        GLOBALS.in_onnx_export = False
        utils._reset_trace_module_map()


def _traced(
    module: torch.nn.Module,
    arguments: tuple[torch.Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
    opset: int,
) -> tuple[bytes, dict[str, torch.Tensor]]:
    """Return the graph with its weights among its inputs, and the weights; those that are transposed are views."""
    open_axes = {name: dict(places) for name, places in axes.items()}
    named = {"input_names": list(inputs), "output_names": list(outputs), "dynamic_axes": open_axes}
    graph, weights, _ = utils._model_to_graph(module, arguments, do_constant_folding=True, **named)
    torch._C._jit_pass_dce_allow_deleting_nodes_with_side_effects(graph)
    weights = torch._C._jit_pass_onnx_deduplicate_initializers(graph, weights, module.training)
    torch._C._jit_pass_onnx_assign_scoped_names_for_node_and_value(graph)
    found: Any = graph._export_onnx(
        {}, opset, open_axes, False, ONNX, True, False, {}, True, "", {}
    )
    return found[0], weights
