"""An ONNX Runtime session, set up for a function that answers one request at a time."""

import math
from pathlib import Path

import onnxruntime as ort

from contracts.limits import LAMBDA_MB_PER_VCPU

PROVIDERS: dict[str, list[str]] = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"],
}


def threads_of(memory_mb: int) -> int:
    """Threads for a function of that memory: Lambda gives one vCPU per 1,769 MB."""
    return max(1, math.ceil(memory_mb / LAMBDA_MB_PER_VCPU))


def options(threads: int) -> ort.SessionOptions:
    """The build has optimised the graph already, so loading does no graph work."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads wait for each other's work by spinning, which is faster; between requests that would be paid for and help
    # nobody, so it ends with the run.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # Requests differ in length: an arena of patterns would grow with each new one.
    options.enable_mem_pattern = False
    return options


def open_session(model: Path, *, threads: int, device: str) -> ort.InferenceSession:
    """A session on the first provider of the device that ONNX Runtime can use; it falls back silently."""
    if device == "cuda":
        # The CUDA libraries come as Python packages, which the loader does not look into by itself.
        ort.preload_dlls()
    return ort.InferenceSession(str(model), options(threads), providers=PROVIDERS[device])
