"""The runtimes that candidates are made for."""

import importlib.metadata
import importlib.util
import platform

from contracts.specs import Objective
from contracts.tasks import Runtime

# A row of a smaller model is answered within a millisecond or so, of which no runtime could save what the start of
# OpenVINO takes more.
LEAST_BYTES = 8 << 20
MISSING = "OpenVINO is not installed here; run `make openvino`"
ELSEWHERE = (
    "this machine is no x86-64 one, on which alone OpenVINO's answers are checked and its tiers run: build there, or "
    'write runtime = "onnxruntime"'
)
# The architecture of the machines that tiers are deployed to.
ARCHITECTURE = "x86_64"


def openvino_version() -> str:
    """Return the version of OpenVINO that is installed here; empty if none is."""
    if importlib.util.find_spec("openvino") is None:
        return ""
    return importlib.metadata.version("openvino")


def openvino_problem(*, available: bool, machine: str = "") -> str:
    """Return why OpenVINO cannot be asked for on this machine; empty if it can. `available` is whether it is there."""
    if (machine or platform.machine()) != ARCHITECTURE:
        return ELSEWHERE
    return "" if available else MISSING


def runtimes_to_try(
    setting: Runtime, objective: str, weight_bytes: int, *, edge: bool, available: bool
) -> tuple[Runtime, ...]:
    """Return the runtimes of a CPU tier's candidates; `available` is whether OpenVINO is installed.

    By itself it is tried where the fastest candidate ships, and only on x86-64, on which its answers are checked with
    the instructions of other processors. An edge copy has ONNX Runtime.
    """
    if setting is not Runtime.AUTO:
        return (setting,)
    pays = objective == Objective.LATENCY and weight_bytes >= LEAST_BYTES
    tried = available and pays and not edge and platform.machine() == ARCHITECTURE
    return (Runtime.ONNX_RUNTIME, Runtime.OPENVINO) if tried else (Runtime.ONNX_RUNTIME,)
