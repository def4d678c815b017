"""The opener of each runtime, by the name that a manifest has."""

from contracts.manifest import BrokenArtefact
from contracts.tasks import Runtime
from functions.inference.runtimes.open_graph import Opener


def opener_of(runtime: str) -> Opener:
    """Return what opens a graph in a runtime; raise BrokenArtefact for one that this release does not have."""
    # Imported here: a function loads the one runtime that its artefact needs.
    match runtime:
        case Runtime.ONNX_RUNTIME:
            from functions.inference.runtimes.onnx_runtime import on_onnx_runtime

            return on_onnx_runtime
        case Runtime.OPENVINO:
            from functions.inference.runtimes.openvino import on_openvino

            return on_openvino
    raise BrokenArtefact(f"its runtime {runtime!r} is not known; build the model again")
