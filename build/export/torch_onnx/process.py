"""Client of `build.export.torch_onnx.main`: one process for all exports, without a network and without credentials."""

import atexit
import importlib.metadata
import sys
from functools import cache
from pathlib import Path

from build.errors import ExportFailed
from build.workspace.checkout import ROOT
from build.workspace.json_process import IsolatedJsonProcess

MODULE = "build.export.torch_onnx.main"


class ExportProcess(IsolatedJsonProcess):
    """The process that exports. It imports its libraries at once; nothing is waited for until a folder is exported."""

    def __init__(self) -> None:
        # `-m` finds our packages in the working folder.
        super().__init__([sys.executable, "-m", MODULE], ROOT, CUDA_VISIBLE_DEVICES="-1")

    def ended(self) -> Exception:
        """Return the error of a process that has ended, with its last words."""
        code, last = self.process.wait(), self.last_line()
        export_process.cache_clear()
        return ExportFailed(f"the process of torch.onnx ended with {code} ({last or 'no message'})")


@cache
def export_process() -> ExportProcess:
    """Return the process, started when it is first needed; it ends with this one."""
    started = ExportProcess()
    atexit.register(started.__exit__)
    return started


def label() -> str:
    """Return the exporter's name and version, as a manifest has them, without a build mark such as +cpu."""
    return f"torch.onnx {importlib.metadata.version('torch').split('+')[0]} (TorchScript)"


def export_folder(folder: Path, destination: Path, task: str) -> Path:
    """Write the folder's graphs in full precision to `destination` and return it; raise ExportFailed.

    `task` is one of `HEADS` in `build.export.torch_onnx.encoder`, or of `WITH_CACHE` in `build.export.torch_onnx.main`.
    """
    answer = export_process().ask(
        folder=str(folder.resolve()), destination=str(destination.resolve()), task=task
    )
    if answer["error"]:
        raise ExportFailed(
            f"{folder} cannot be exported ({answer['error']}); "
            "check that transformers loads it, and that its architecture is one torch.onnx exports"
        )
    return destination
