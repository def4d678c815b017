"""Client of `build.sources.tensorflow.convert`: TensorFlow in an environment of its own, one process per step.

`make converters` installs that environment from requirements.txt beside this file. It pins other versions of packages
that the build itself uses and takes seconds to import, so the build's own process never imports it.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from build.errors import BuildError, ExportFailed
from build.graph.opset import OPSET
from build.sources.tensorflow.signature import Signature
from build.workspace.checkout import ROOT
from build.workspace.isolated_process import isolated
from functions.inference.token_batches import Feeds

# Environment variable that names another folder, for a computer whose users share one.
VARIABLE = "TURNOUT_CONVERTERS"
SCRIPT = Path(__file__).with_name("convert.py")
PACKAGES = {"tensorflow": "tensorflow_cpu", "tf2onnx": "tf2onnx"}


def home() -> Path:
    """Return the folder of the environment, whether it is installed or not."""
    return Path(os.environ.get(VARIABLE) or ROOT / ".turnout/converters")


def versions(folder: Path) -> dict[str, str]:
    """Return the versions of the packages that decide a graph's bytes; empty if the environment is incomplete."""
    # From folder names: starting the environment's Python would take longer than the rest of a plan.
    installed = {}
    for name, distribution in PACKAGES.items():
        folders = sorted(folder.glob(f"lib/python*/site-packages/{distribution}-*.dist-info"))
        if not folders or not (folder / "bin/python").exists():
            return {}
        installed[name] = folders[-1].name.removesuffix(".dist-info").split("-")[1]
    return installed


def convert(source: Path, signature: Signature, picked: Sequence[int], destination: Path) -> None:
    """Write the model as ONNX, with its inputs and the picked outputs in that order; raises ExportFailed."""
    try:
        _run("convert", source, signature, picked, OPSET, destination)
    except _StepFailed as error:
        raise ExportFailed(
            f"{source} cannot be converted ({error}); save it with operators that ONNX has, or convert it to ONNX "
            "where it was trained"
        ) from error


def predict(
    source: Path,
    signature: Signature,
    picked: Sequence[int],
    feeds: Sequence[Feeds],
    names: Sequence[str],
) -> list[list[NDArray[np.float32]]]:
    """Return the picked outputs of TensorFlow for each of the feeds, in float32; raises BuildError.

    `names` are the feeds' names of the signature's inputs, in its order.
    """
    with tempfile.TemporaryDirectory(prefix="turnout-") as folder:
        inputs, outputs = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
        arrays: dict[str, Any] = {
            f"{i}.{k}": feed[name] for i, feed in enumerate(feeds) for k, name in enumerate(names)
        }
        np.savez(inputs, **arrays)
        try:
            _run("predict", source, signature, picked, inputs, outputs)
        except _StepFailed as error:
            raise BuildError(f"{source} cannot be run ({error}); save the model again") from error
        with np.load(outputs, allow_pickle=False) as found:
            return [[found[f"{i}.{k}"] for k in range(len(picked))] for i in range(len(feeds))]


class _StepFailed(Exception):
    """A step failed; the message is the last line of its standard error."""


def _run(
    step: str, source: Path, signature: Signature, picked: Sequence[int], *arguments: object
) -> None:
    document: dict[str, Any] = {**asdict(signature), "picked": list(picked)}
    # -I leaves out the script's own folder, whose modules would shadow installed ones, and the user's packages.
    command = [
        home() / "bin/python",
        "-I",
        SCRIPT,
        step,
        source.resolve(),
        json.dumps(document),
        *arguments,
    ]
    done = subprocess.run(
        # TensorFlow's own log is left out of standard error; a GPU would change the reference by its rounding.
        isolated(map(str, command), TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1"),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise _StepFailed(
            last if done.returncode > 0 else f"its process was ended by {-done.returncode}: {last}"
        )
