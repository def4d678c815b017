"""Client of `build.sources.tensorflow.convert`: TensorFlow in an environment of its own, one process per step.

`make converters` installs that environment from requirements.txt beside this file. It pins other versions of packages
that the build itself uses and takes seconds to import, so the build's own process never imports it.
"""

import json
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
from build.workspace.python_environment import PythonEnvironment, StepFailed
from functions.inference.token_batches import Feeds

ENVIRONMENT = PythonEnvironment(
    name="converters",
    variable="TURNOUT_CONVERTERS",
    packages={"tensorflow": "tensorflow_cpu", "tf2onnx": "tf2onnx"},
    # TensorFlow's own log is left out of standard error; a GPU would change the reference by its rounding.
    settings={"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
)
SCRIPT = Path(__file__).with_name("convert.py")


def convert(source: Path, signature: Signature, picked: Sequence[int], destination: Path) -> None:
    """Write the model as ONNX, with its inputs and the picked outputs in that order; raises ExportFailed."""
    try:
        _run("convert", source, signature, picked, OPSET, destination)
    except StepFailed as error:
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
        except StepFailed as error:
            raise BuildError(f"{source} cannot be run ({error}); save the model again") from error
        with np.load(outputs, allow_pickle=False) as found:
            return [[found[f"{i}.{k}"] for k in range(len(picked))] for i in range(len(feeds))]


def _run(
    step: str, source: Path, signature: Signature, picked: Sequence[int], *arguments: object
) -> None:
    document: dict[str, Any] = {**asdict(signature), "picked": list(picked)}
    ENVIRONMENT.run(SCRIPT, step, source.resolve(), json.dumps(document), *arguments)
