"""Client of `build.sources.tensorflow.convert`: TensorFlow in an environment of its own, one process per step.

`make converters` installs that environment from requirements.txt beside this file. It pins other versions of packages
that the build itself uses and takes seconds to import, so the build's own process never imports it.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from build.errors import BuildError, ExportFailed
from build.sources.tensorflow.signature import Signature
from functions.inference.tokens import Feeds

PLACE = "TURNOUT_CONVERTERS"
ROOT = Path(__file__).parents[3]
SCRIPT = Path(__file__).with_name("convert.py")
PACKAGES = {"tensorflow": "tensorflow_cpu", "tf2onnx": "tf2onnx"}


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the environment is, or has to be made."""
    return Path(environment.get(PLACE) or ROOT / ".turnout/converters")


def versions(place: Path) -> dict[str, str]:
    """What the environment holds of what decides the bytes of a graph; nothing where it is not whole."""
    found = {}
    for name, distribution in PACKAGES.items():
        folders = sorted(place.glob(f"lib/python*/site-packages/{distribution}-*.dist-info"))
        if not folders or not (place / "bin/python").exists():
            return {}
        found[name] = folders[-1].name.removesuffix(".dist-info").split("-")[1]
    return found


def convert(source: Path, signature: Signature, picked: Sequence[int], destination: Path) -> None:
    """Write the model as ONNX, inputs and picked outputs in that order; raises ExportFailed."""
    try:
        _run("convert", source, signature, picked, destination)
    except _Failed as error:
        raise ExportFailed(
            f"{source} cannot be converted ({error}); save it with operators that ONNX has, or convert it to ONNX "
            "where it was trained"
        ) from error


def answer(
    source: Path,
    signature: Signature,
    picked: Sequence[int],
    asked: Sequence[Feeds],
    order: Sequence[str],
) -> list[list[NDArray[np.float32]]]:
    """What TensorFlow itself answers to each of the feeds, whose names stand in `order`; raises BuildError."""
    with tempfile.TemporaryDirectory(prefix="turnout-") as folder:
        feeds, answers = Path(folder) / "feeds.npz", Path(folder) / "answers.npz"
        arrays: dict[str, Any] = {
            f"{i}.{k}": feed[name] for i, feed in enumerate(asked) for k, name in enumerate(order)
        }
        np.savez(feeds, **arrays)
        try:
            _run("answer", source, signature, picked, feeds, answers)
        except _Failed as error:
            raise BuildError(f"{source} cannot be asked ({error}); save the model again") from error
        with np.load(answers, allow_pickle=False) as found:
            return [[found[f"{i}.{k}"] for k in range(len(picked))] for i in range(len(asked))]


class _Failed(Exception):
    """The last line of what a process said."""


def _run(
    step: str, source: Path, signature: Signature, picked: Sequence[int], *files: Path
) -> None:
    said: dict[str, Any] = {**asdict(signature), "picked": list(picked)}
    # -I: neither the folder of the script, whose modules have names that others have, nor the user's own packages.
    command = [
        home() / "bin/python",
        "-I",
        SCRIPT,
        step,
        source.resolve(),
        json.dumps(said),
        *files,
    ]
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise _Failed(
            last if done.returncode > 0 else f"its process was ended by {-done.returncode}: {last}"
        )
