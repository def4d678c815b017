"""Client of `build.export.torch_onnx.main`: one process per export, without a network and without credentials.

What torch holds of a model while it is traced goes with the process.
"""

import importlib.metadata
import sys
from pathlib import Path

from build.errors import ExportFailed
from build.workspace.checkout import ROOT
from build.workspace.python_environment import StepFailed, run_isolated


def label() -> str:
    """Return the exporter's name and version, as a manifest has them, without a build mark such as +cpu."""
    return f"torch.onnx {importlib.metadata.version('torch').split('+')[0]} (TorchScript)"


def export_folder(folder: Path, destination: Path, task: str) -> Path:
    """Write the folder's graphs in full precision to `destination` and return it; raise ExportFailed.

    `task` is one of `HEADS` in `build.export.torch_onnx.encoder`.
    """
    module = "build.export.torch_onnx.main"
    command = [sys.executable, "-m", module, folder.resolve(), destination.resolve(), task]
    try:
        # `-m` finds our packages in the working folder.
        run_isolated(command, {"CUDA_VISIBLE_DEVICES": "-1"}, ROOT)
    except StepFailed as error:
        raise ExportFailed(
            f"{folder} cannot be exported ({error}); "
            "check that transformers loads it, and that its architecture is one torch.onnx exports"
        ) from error
    return destination
