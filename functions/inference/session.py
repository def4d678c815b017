"""An ONNX Runtime session for a function that answers one request at a time, and the threads its memory gives it."""

import math
from pathlib import Path

import onnxruntime as ort

from contracts.limits import LAMBDA_MB_PER_VCPU

# In the order in which they are tried for each operator: what CUDA lacks runs on the CPU.
PROVIDERS: dict[str, list[str]] = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"],
}


def threads_of(memory_mb: int) -> int:
    """Return the threads for a function of that memory: Lambda gives one vCPU per 1,769 MB.

    With a part of a second vCPU two spinning threads answer requests that come one by one sooner than one thread, and
    sooner than two that wait; docs/images.md has the figures.
    """
    return max(1, math.ceil(memory_mb / LAMBDA_MB_PER_VCPU))


def options(threads: int) -> ort.SessionOptions:
    """Return the session options; the build has optimised the graph already, so loading does no graph work."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    # Operators run one after the other (ORT_SEQUENTIAL, the default), so a second pool of threads would idle.
    options.inter_op_num_threads = 1
    # 3 is ERROR.
    options.log_severity_level = 3
    # Threads wait for each other's work by spinning, which is faster; between requests spinning would be billed for
    # nothing, so it ends with the run.
    # https://onnxruntime.ai/docs/performance/tune-performance/threading.html
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # Requests differ in length: memory patterns are kept for each shape, so they would grow with each new one.
    options.enable_mem_pattern = False
    return options


def open_session(model: Path, *, threads: int, device: str) -> ort.InferenceSession:
    """Open a session on the first of the device's providers that works; ONNX Runtime falls back silently."""
    if device == "cuda":
        # The CUDA libraries are installed as Python packages, where the dynamic loader does not look.
        ort.preload_dlls()
    return ort.InferenceSession(str(model), options(threads), providers=PROVIDERS[device])
