"""ONNX Runtime, for encoders on every device."""

from pathlib import Path

from functions.inference.runtimes.open_graph import OpenGraph
from functions.inference.session import bound, open_session, unbound

# With operators of our own, layers leave padding out; what comes before and after them does not, which took 0.01 to
# 0.03 of a token's time (MiniLM-L6, AMD EPYC with VNNI, 2026-11-27). Requests took the least with up to 120 places in
# a batch, a hundredth less than with 300.
PADDED = 0.1


def on_onnx_runtime(
    model: Path,
    *,
    threads: int,
    device: str,
    bind: bool,
    kernels: Path | None = None,
    at_once: int = 1,
) -> OpenGraph:
    """Open an ONNX graph in ONNX Runtime, which runs on one thread in the thread that calls: any number are at once."""
    session = open_session(model, threads=threads, device=device, kernels=kernels)
    return OpenGraph(
        forward=bound(session) if bind else unbound(session),
        input_names=tuple(node.name for node in session.get_inputs()),
        shape=tuple(session.get_outputs()[0].shape),
        providers=tuple(session.get_providers()),
        padded=PADDED if kernels else 1.0,
    )
