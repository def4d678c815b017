"""The conversion of pickled weights to safetensors.

A pickle is a program that builds objects when it is loaded. With `weights_only`, torch loads one without calling
anything but its own constructors of tensors; of these, only plain ones are converted.
"""

import re
from pathlib import Path
from typing import Any

from build.errors import SourceError, one_line
from contracts.problems import Code

# Tied weights share their bytes in the pickle and are copied here. Copies of more than this many times the file, and
# more than the free bytes, are no model but an attempt to fill the memory.
MAX_GROWTH, FREE_BYTES = 8, 1 << 24


def convert(path: Path, destination: Path) -> None:
    """Write a pickle's weights as safetensors; raise SourceError, before any is copied, for anything else in it."""
    from safetensors.torch import save_file

    weights = _load(path)
    if not isinstance(weights, dict):
        raise _refused(path, f"holds more than weights by name: {type(weights).__name__}")
    if not weights:
        raise _refused(path, "holds no weights")
    for name, value in weights.items():
        if reason := _refusal(name, value):
            raise _refused(path, reason)
    size = sum(map(_bytes, weights.values()))
    limit = path.stat().st_size * MAX_GROWTH + FREE_BYTES
    if size > limit:
        raise _refused(path, f"its weights come to {size} bytes, where {limit} are the most")
    try:
        # Tied weights share their bytes, which safetensors does not save.
        save_file(
            {name: tensor.clone().contiguous() for name, tensor in weights.items()},
            destination,
            metadata={"format": "pt"},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _refused(path, f"cannot be copied ({one_line(error)})") from error


def _load(path: Path) -> Any:
    import torch

    try:
        # Not proof by itself: before torch 2.6 such a load could run code (CVE-2025-32434), and before 2.10 corrupt
        # memory (CVE-2026-24747). pyproject.toml wants a later one.
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several kinds for a damaged file
        raise _refused(path, _why(error)) from error


def _why(error: Exception) -> str:
    """Return torch's reason, without its advice to load the pickle with weights_only=False."""
    message = str(error)
    if name := re.search(r"GLOBAL (\S+)", message):
        return f"calls {name[1]}, which is not run"
    if reason := re.search(r"UnpicklingError: (.+)|WeightsUnpickler error: (.+)", message):
        return f"cannot be read ({(reason[1] or reason[2]).strip()})"
    if "weights_only" in message:
        return f"cannot be read ({type(error).__name__})"
    return f"cannot be read ({one_line(error)})"


def _refusal(name: Any, value: Any) -> str:
    """Return why an entry is no plain weight; "" for one that is."""
    import torch

    if not isinstance(name, str) or not torch.is_tensor(value):
        return f"holds more than weights by name, such as {name!r:.60}"
    if value.layout is not torch.strided or value.is_nested:
        return f"{name} is sparse or nested, and only plain tensors are taken"
    if value.is_quantized:
        return f"{name} is quantized, and only plain tensors are taken"
    if value.is_complex():
        return f"{name} has complex numbers, which no model here reads"
    # A view with strides of 0 claims any number of values over a few bytes.
    if value.device.type != "cpu" or _bytes(value) > value.untyped_storage().nbytes():
        return f"{name} says that it has {value.numel()} numbers, which are not in the file"
    return ""


def _bytes(tensor: Any) -> int:
    return int(tensor.numel() * tensor.element_size())


def _refused(path: Path, why: str) -> SourceError:
    return SourceError.about(path, Code.PICKLE_REFUSED, f"{why}; save the model as safetensors")
