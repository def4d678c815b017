"""ONNX Runtime, for encoders on every device."""

from pathlib import Path

from functions.inference.runtimes.open_graph import OpenGraph
from functions.inference.session import bound, open_session, unbound


def on_onnx_runtime(
    model: Path, *, threads: int, device: str, bind: bool, kernels: Path | None = None
) -> OpenGraph:
    """Open an ONNX graph in ONNX Runtime."""
    session = open_session(model, threads=threads, device=device, kernels=kernels)
    return OpenGraph(
        forward=bound(session) if bind else unbound(session),
        input_names=tuple(node.name for node in session.get_inputs()),
        shape=tuple(session.get_outputs()[0].shape),
        providers=tuple(session.get_providers()),
    )
