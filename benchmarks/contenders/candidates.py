"""Candidates of a build, whichever of them ships: each in the runtime that it was made for.

`benchmarks.inference.candidates` makes their graphs.
"""

from pathlib import Path

from benchmarks.contenders import Opened, Setting
from benchmarks.contenders.tokens import arrays, largest


def folder_of(scratch: Path, function: str) -> Path:
    """Return the folder of the graph that a function of this module opens."""
    return scratch / "candidates" / function


def smoothed(setting: Setting) -> Opened:
    """Open "int8 smoothed": on ONNX Runtime's own operators alone."""
    return _opened(setting, "smoothed", "onnxruntime")


def kernels(setting: Setting) -> Opened:
    """Open the one with operators of our own."""
    return _opened(setting, "kernels", "onnxruntime")


def openvino(setting: Setting) -> Opened:
    """Open the one for OpenVINO, with the settings that a function has."""
    return _opened(setting, "openvino", "openvino")


def openvino_mixed(setting: Setting) -> Opened:
    """Open the same with its two most sensitive products in floats."""
    return _opened(setting, "openvino_mixed", "openvino")


def _opened(setting: Setting, function: str, runtime: str) -> Opened:
    # Imported here: the environment of a runtime holds nothing else.
    from importlib.metadata import version

    return opened(setting, folder_of(setting.scratch, function), runtime, version(runtime))


def opened(setting: Setting, folder: Path, runtime: str, version: str) -> Opened:
    """Open the graph of a folder, with its operators if it has any, in the runtime that serves it, on tokens."""
    from contracts.manifest import MODEL, kernels_in
    from functions.inference.runtimes.openers import opener_of

    graph = opener_of(runtime)(
        folder / MODEL,
        threads=setting.threads,
        device="cpu",
        bind=False,
        kernels=kernels_in(folder),
    )
    return Opened(
        prepare=lambda item: {name: arrays(item)[name] for name in graph.input_names},
        run=graph.forward,
        read=largest,
        version=f"{runtime} {version}",
    )
