"""An ONNX Runtime session for a function that answers one request at a time."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime as ort

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from functions.inference.token_batches import Feeds

# In the order in which they are tried for each operator: what CUDA lacks runs on the CPU.
PROVIDERS: dict[str, list[Any]] = {
    "cpu": ["CPUExecutionProvider"],
    # By default matrices are multiplied in TF32, which has the 10 bits of a float16: not what was proved.
    # https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#use_tf32
    "cuda": [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"],
}


def options(threads: int, bound: Sequence[int] = ()) -> ort.SessionOptions:
    """Return the session options; the build has optimised the graph already, so loading does no graph work.

    Threads may be `bound` to processors (`processors_of`), by a `BoundSession`, which moves its caller off them.
    """
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
    if bound:
        # Its numbers begin with 1.
        numbers = ";".join(str(each + 1) for each in bound)
        options.add_session_config_entry("session.intra_op_thread_affinities", numbers)
    # Requests differ in length: memory patterns are kept for each shape, so they would grow with each new one.
    options.enable_mem_pattern = False
    return options


def available_processors() -> Sequence[int]:
    """Return the processors that this process may run on, numbered from 0; none where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else ()


def processors_of(threads: int, available: Sequence[int]) -> Sequence[int]:
    """Return the processor of each thread but the one that asks for a run; none where the system places them itself.

    Linux may wake a thread on the processor of the one that then waits for it by spinning, where it gets no time until
    the scheduler's next tick: 4 ms for a run of 2. With half of the processors to spare it finds another by itself.
    """
    if not 1 < threads <= len(available) < 2 * threads:
        return ()
    return available[1:threads]


class BoundSession(ort.InferenceSession):  # type: ignore[misc]
    """A session whose threads are bound: the one that asks for a run is moved off their processors before."""

    available: Sequence[int]

    def run(self, *given: Any, **named: Any) -> Any:
        self._move_caller()
        return super().run(*given, **named)

    def run_with_iobinding(self, *given: Any, **named: Any) -> None:
        self._move_caller()
        super().run_with_iobinding(*given, **named)

    def _move_caller(self) -> None:
        os.sched_setaffinity(0, self.available[:1])
        # It stays there, while threads that it starts may run anywhere.
        os.sched_setaffinity(0, self.available)


def open_session(
    model: Path, *, threads: int, device: str, kernels: Path | None = None
) -> ort.InferenceSession:
    """Open a session on the first of the device's providers that works; ONNX Runtime falls back silently.

    `kernels` is the library of the graph's own operators, whose code runs here: the caller has checked its bytes. As
    long as one session has it, a further one gets the code that was loaded then, whatever lies there by now.
    """
    if device == "cuda":
        # The CUDA libraries are installed as Python packages, where the dynamic loader does not look.
        ort.preload_dlls()
    available = available_processors()
    bound = processors_of(threads, available)
    chosen = options(threads, bound)
    if kernels:
        # The loader would look for a bare name in the system's folders.
        chosen.register_custom_ops_library(str(kernels.absolute()))
    if not bound:
        return ort.InferenceSession(str(model), chosen, providers=PROVIDERS[device])
    session = BoundSession(str(model), chosen, providers=PROVIDERS[device])
    session.available = available
    return session


def unbound(session: ort.InferenceSession) -> "Callable[[Feeds], NDArray[np.float32]]":
    """Return the forward pass of a graph with one output."""
    output = [session.get_outputs()[0].name]

    def forward(feeds: "Feeds") -> "NDArray[np.float32]":
        found: NDArray[np.float32] = session.run(output, feeds)[0]
        return found

    return forward


def device_of(session: ort.InferenceSession) -> str:
    """Return the device whose memory a session reads, "cpu" or "cuda": that of the provider in use."""
    return "cuda" if session.get_providers()[0].startswith(("CUDA", "Tensorrt")) else "cpu"


def bound(session: ort.InferenceSession) -> "Callable[[Feeds], NDArray[np.float32]]":
    """Return the forward pass of a graph with one output, whose tensors lie in the memory of the session's device.

    Inputs are copied there once, and the output once from there; without the binding, the session decides for each
    operator where a tensor lies. https://onnxruntime.ai/docs/performance/tune-performance/iobinding.html
    """
    device, output = device_of(session), session.get_outputs()[0].name

    def forward(feeds: "Feeds") -> "NDArray[np.float32]":
        binding = session.io_binding()
        for name, array in feeds.items():
            value = ort.OrtValue.ortvalue_from_numpy(array, device)
            binding.bind_ortvalue_input(name, value)
        binding.bind_output(output, device)
        session.run_with_iobinding(binding)
        found: NDArray[np.float32] = binding.copy_outputs_to_cpu()[0]
        return found

    return forward
