"""A pickle of weights as safetensors.

A pickle is a program that makes objects when it is run. torch reads one without running what it does not know
(`weights_only`), so no more than tensors can come of it; of these, only plain ones are taken.
"""

import re
from pathlib import Path
from typing import Any

from build.errors import SourceError, one_line
from contracts.problems import Code

# Tied weights share their bytes, and are saved apart: more than this many times the file was made to fill memory.
MOST_SHARED, FREE_BYTES = 8, 1 << 24


def convert(path: Path, destination: Path) -> None:
    """Raises SourceError for what is no pickle of weights, before any of them is copied."""
    from safetensors.torch import save_file

    found = _load(path)
    if not isinstance(found, dict):
        raise _refused(path, f"holds more than weights by name: {type(found).__name__}")
    if not found:
        raise _refused(path, "holds no weights")
    for name, value in found.items():
        if wrong := _wrong(name, value):
            raise _refused(path, wrong)
    size, most = sum(map(_bytes, found.values())), path.stat().st_size * MOST_SHARED + FREE_BYTES
    if size > most:
        raise _refused(path, f"its weights come to {size} bytes, where {most} are the most")
    try:
        # Tied weights share their bytes, which safetensors does not save.
        save_file(
            {name: tensor.clone().contiguous() for name, tensor in found.items()},
            destination,
            metadata={"format": "pt"},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _refused(path, f"cannot be copied ({one_line(error)})") from error


def _load(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, by what is wrong with the file
        raise _refused(path, _why(error)) from error


def _why(error: Exception) -> str:
    """What torch found, without its advice to run the pickle."""
    said = str(error)
    if asked := re.search(r"GLOBAL (\S+)", said):
        return f"asks for {asked[1]}, which is not run"
    if found := re.search(r"UnpicklingError: (.+)|WeightsUnpickler error: (.+)", said):
        return f"cannot be read ({(found[1] or found[2]).strip()})"
    if "weights_only" in said:
        return f"cannot be read ({type(error).__name__})"
    return f"cannot be read ({one_line(error)})"


def _wrong(name: Any, value: Any) -> str:
    """What keeps one entry from being a weight; empty where nothing does."""
    import torch

    if not isinstance(name, str) or not torch.is_tensor(value):
        return f"holds more than weights by name, such as {name!r:.60}"
    if value.layout is not torch.strided or value.is_nested:
        return f"{name} is sparse or nested, and only plain tensors are taken"
    if value.is_quantized:
        return f"{name} is quantized, and only plain tensors are taken"
    if value.is_complex():
        return f"{name} has complex numbers, which no model here reads"
    if value.device.type != "cpu" or _bytes(value) > value.untyped_storage().nbytes():
        return f"{name} says that it has {value.numel()} numbers, which are not in the file"
    return ""


def _bytes(tensor: Any) -> int:
    return int(tensor.numel() * tensor.element_size())


def _refused(path: Path, why: str) -> SourceError:
    return SourceError.about(path, Code.PICKLE_REFUSED, f"{why}; save the model as safetensors")
