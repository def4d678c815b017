"""OpenVINO, for encoders on processors: https://docs.openvino.ai.

It compiles a graph when it is opened, which takes a few tenths of a second more than ONNX Runtime takes to load one.
"""

import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.manifest import BrokenArtefact
from functions.inference.runtimes.open_graph import OpenGraph

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from functions.inference.token_batches import Feeds

# oneDNN's most recent instructions that it may use. Above are those of 16-bit floats, which answer otherwise than the
# build has proved, and of AMX, with which a quantized graph of dynamic shapes ends the process:
# https://github.com/openvinotoolkit/openvino/issues/37577
# https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html
INSTRUCTIONS, MOST = "ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI"
# Those that the build asks for, from the narrowest to the widest.
WITHOUT_VNNI = ("AVX2", "AVX512_CORE")


def on_openvino(
    model: Path,
    *,
    threads: int,
    device: str,
    bind: bool,
    kernels: Path | None = None,
    at_once: int = 1,
) -> OpenGraph:
    """Open an ONNX graph in OpenVINO, on a processor whatever the device: there is no memory to bind to.

    Raise BrokenArtefact where OpenVINO is not installed.
    """
    core = _core()
    compiled = core.compile_model(str(model), "CPU", settings(threads, at_once))
    names = tuple(each.any_name for each in compiled.inputs)
    axes = compiled.output(0).partial_shape
    return OpenGraph(
        forward=_Requests(compiled).forward,
        input_names=names,
        shape=tuple(axis.get_length() if axis.is_static else None for axis in axes),
        providers=("OpenVINO",),
    )


def settings(threads: int, at_once: int = 1) -> dict[str, str]:
    """Return the settings of a graph that is run so often at once, in the precision that it has.

    A stream is what one run takes, and threads are those of all streams; 0 are as many as there are cores.
    https://docs.openvino.ai/2026/openvino-workflow/running-inference/inference-devices-and-modes/cpu-device.html
    """
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": str(at_once),
        "INFERENCE_NUM_THREADS": str(threads * at_once),
        # Lambda says by a quota how much of which core a function has.
        "ENABLE_CPU_PINNING": "NO",
        # By default it computes in bfloat16 where the processor has it.
        "INFERENCE_PRECISION_HINT": "f32",
    }


def limited(environment: Any = os.environ) -> None:
    """Limit the instructions in an environment; one that is narrower already stays."""
    if environment.get(INSTRUCTIONS) not in WITHOUT_VNNI:
        environment[INSTRUCTIONS] = MOST


def _core() -> Any:
    # Read once, when the library chooses its kernels.
    limited()
    try:
        import openvino
    except ImportError as error:
        raise BrokenArtefact(
            f"it runs on OpenVINO, which is not installed ({error}); run `make openvino`"
        ) from error
    return openvino.Core()


class _Requests:
    """The requests of a compiled graph: each runs once at a time, so a thread takes one that nobody else has."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        # Its ends are taken and put by one thread at a time.
        self._free: deque[Any] = deque()

    def forward(self, feeds: "Feeds") -> "NDArray[np.float32]":
        try:
            request = self._free.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            # The output is a copy, which a later run does not change.
            found: NDArray[np.float32] = request.infer(dict(feeds), share_inputs=True)[0]
            return found
        finally:
            self._free.append(request)
