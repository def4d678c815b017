"""Client of `build.export.optimum.main_export`: optimum in an environment of its own, one process per export.

optimum-onnx 0.1 wants transformers below 4.58, while the build and the reference use the current release. `make setup`
installs that environment from requirements.txt beside this file; all other packages, torch above all, are those of the
build's own environment.
"""

import json
from pathlib import Path

from build.errors import ExportFailed
from build.graph.opset import OPSET
from build.workspace.python_environment import PythonEnvironment, StepFailed

ENVIRONMENT = PythonEnvironment(
    name="optimum",
    variable="TURNOUT_OPTIMUM",
    packages={"optimum": "optimum", "optimum-onnx": "optimum_onnx"},
    settings={"CUDA_VISIBLE_DEVICES": "-1"},
)
SCRIPT = Path(__file__).with_name("main_export.py")


def versions() -> dict[str, str]:
    """Return the versions of optimum and optimum-onnx; empty if they are not installed."""
    return ENVIRONMENT.versions()


def label() -> str:
    """Return the exporter's name and version, as a manifest has them."""
    return f"optimum-onnx {ENVIRONMENT.versions().get('optimum-onnx', 'not installed')}"


def export_folder(folder: Path, destination: Path, task: str) -> Path:
    """Write the folder's graphs in full precision to `destination` and return it; raise ExportFailed.

    `task` is optimum's name for what the graphs compute; `-with-past` behind it asks for a KV cache.
    """
    if not versions():
        raise ExportFailed(
            f"optimum, which exports models, is not in {ENVIRONMENT.home()}; run `make setup`"
        )
    options = {
        "model_name_or_path": str(folder.resolve()),
        "output": str(destination.resolve()),
        "task": task,
        "opset": OPSET,
        "device": "cpu",
        # optimum would compare with the model on made-up inputs; the build does so on the user's rows.
        "do_validation": False,
        # The decoder that has a cache and the one that has none yet stay two graphs, instead of branches of one `If`.
        "no_post_process": task.endswith("-with-past"),
        # Otherwise optimum takes a folder with sentence-transformers' files for a model of that library.
        "library_name": "transformers",
        "local_files_only": True,
    }
    try:
        ENVIRONMENT.run(SCRIPT, json.dumps(options))
    except StepFailed as error:
        raise ExportFailed(
            f"{folder} cannot be exported ({error}); "
            "check that transformers loads it, and that its architecture is one optimum exports"
        ) from error
    return destination
